import { open, rm } from "node:fs/promises";
import type { JsonObject } from "@bufbuild/protobuf";
import type { Context } from "../command/context.ts";
import { type NamedRequest, sendNamed } from "../command/named-call.ts";
import type { Arguments } from "../command-line/arguments.ts";
import type { Options } from "../command-line/command-text.ts";
import { member } from "../execution/execution-text.ts";
import { CliError, usageError } from "../output/cli-error.ts";
import { type ExitCode, exitCodes } from "../output/exit-codes.ts";
import { saveProfile } from "../profile/save-profile.ts";

/** Where a new key goes. It is printed only with `--show`. */
export const destination: Options = {
  file: { type: "string", value: "FILE", help: "writes the key into a new file that you alone can read" },
  save: { type: "string", value: "PROFILE", help: "keeps the key in a profile for this server" },
  show: { type: "boolean", help: "prints the key" },
};

/** Sends a request that answers a key. The server answers it only once, so the file is created before the call. */
export async function sendForKey(given: Arguments, context: Context, asked: NamedRequest): Promise<ExitCode> {
  const [file, profile] = [given.text("file"), given.text("save")];
  if (given.isSet("curl")) {
    return await sendNamed(context, given, asked, () => exitCodes.done);
  }
  if (file === undefined && profile === undefined && !given.isSet("show")) {
    throw usageError("The key is shown only once. Say where it goes: --file FILE, --save PROFILE or --show.");
  }
  if (profile !== undefined) {
    context.store.keyFile(profile);
  }
  const handle = file === undefined ? undefined : await openNew(file);
  try {
    return await sendNamed(context, given, asked, async (reply) => {
      const key = member(reply, "key") ?? "";
      await handle?.writeFile(`${key}\n`);
      if (profile !== undefined) {
        await saveProfile(context.store, profile, { url: context.settings.url }, key);
      }
      showKey(given, context, reply, key);
      return exitCodes.done;
    });
  } catch (error) {
    if (file !== undefined) {
      await rm(file, { force: true });
    }
    throw error;
  } finally {
    await handle?.close();
  }
}

function showKey(given: Arguments, { output }: Context, reply: JsonObject, key: string): void {
  const known = reply["api_key"] ?? {};
  // The JSON of a message is an object.
  const id = member(known as JsonObject, "id") ?? "";
  if (given.isSet("show")) {
    output.value({ api_key: known, key }, key);
  } else {
    output.value({ api_key: known }, id);
  }
}

async function openNew(file: string) {
  try {
    return await open(file, "wx", 0o600);
  } catch (cause) {
    throw new CliError(`${file} cannot be created. A key is written to a new file only.`, { cause });
  }
}
