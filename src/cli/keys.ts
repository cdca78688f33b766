import { open, rm } from "node:fs/promises";
import type { JsonObject } from "@bufbuild/protobuf";
import type { Arguments } from "./arguments.ts";
import { CliError, usageError } from "./cli-error.ts";
import { type Command, curlOption, type Options } from "./command.ts";
import type { Context } from "./context.ts";
import { member } from "./execution-text.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { listNamed, type NamedRequest, sendNamed } from "./named-call.ts";
import { saveProfile } from "./profiles.ts";

const service = "flowcall.v1.ApiKeyService";

/** A key is shown to nobody who does not ask for it. */
const destination: Options = {
  file: { type: "string", value: "FILE", help: "writes the key into a new file that you alone can read" },
  save: { type: "string", value: "PROFILE", help: "keeps the key in a profile for this server" },
  show: { type: "boolean", help: "prints the key" },
};

export const keyCreate: Command = {
  name: "key create",
  summary: "Creates a key of the environment that your own key is of.",
  positionals: ["NAME"],
  options: {
    scope: { type: "string", multiple: true, value: "SCOPE", help: "execute, read, author or admin; may repeat" },
    workflow: {
      type: "string",
      multiple: true,
      value: "ID|ALIAS",
      help: "a workflow that it is restricted to; may repeat",
    },
    account: {
      type: "string",
      multiple: true,
      value: "ACCOUNT",
      help: "a linked account that it is restricted to; may repeat",
    },
    expires: { type: "string", value: "TIME", help: "when it ends, as 2027-01-31T00:00:00Z" },
    ...destination,
    ...curlOption,
  },
  example: "flowcall key create ci --scope read --scope author --file ci.key",

  async run(given, context) {
    const expires = given.text("expires");
    const request = {
      name: given.word(0),
      scopes: given.texts("scope").flatMap((text) => text.split(",")),
      workflows: [...given.texts("workflow")],
      linked_accounts: [...given.texts("account")],
      ...(expires !== undefined && { expire_time: expires }),
    };
    if (request.scopes.length === 0)
      throw usageError("Name what the key may be used for: --scope execute, read, author or admin.");
    return await sendForKey(given, context, { name: `${service}.CreateApiKey`, request });
  },
};

export const keyRotate: Command = {
  name: "key rotate",
  summary: "Gives a key a new text; the one that it has goes on for a while, if told so.",
  positionals: ["ID"],
  options: {
    overlap: { type: "string", value: "SECONDS", help: "for how long the old text works too" },
    ...destination,
    ...curlOption,
  },
  example: "flowcall key rotate 66e404464f475f36c0c95b5d --overlap 3600 --file ci.key",

  async run(given, context) {
    const overlap = given.number("overlap");
    const request = { api_key_id: given.word(0), ...(overlap !== undefined && { overlap_seconds: overlap }) };
    return await sendForKey(given, context, { name: `${service}.RotateApiKey`, request });
  },
};

export const keyLs: Command = {
  name: "key ls",
  summary: "Lists the keys of the environment, newest first; the keys themselves are known to nobody.",
  positionals: [],
  options: {},
  example: "flowcall key ls",

  async run(_, context) {
    const keys = await listNamed(await context.connect(), { name: `${service}.ListApiKeys`, request: {} }, "api_keys");
    context.output.table(keys, [
      ["ID", (key) => member(key, "id")],
      ["NAME", (key) => member(key, "name")],
      ["PREFIX", (key) => member(key, "prefix")],
      ["SCOPES", (key) => [key["scopes"] ?? []].flat().join(",")],
      ["CREATED", (key) => member(key, "create_time")],
      ["ENDS", (key) => member(key, "revoke_time") ?? member(key, "expire_time")],
    ]);
    return exitCodes.done;
  },
};

export const keyRevoke: Command = {
  name: "key revoke",
  summary: "Ends a key for good.",
  positionals: ["ID"],
  options: curlOption,
  example: "flowcall key revoke 66e404464f475f36c0c95b5d",

  async run(given, context) {
    const request = { api_key_id: given.word(0) };
    return await sendNamed(context, given, { name: `${service}.RevokeApiKey`, request }, (key) => {
      context.output.value(key, `${given.word(0)} revoked`);
      return exitCodes.done;
    });
  },
};

/** The key comes once, so the place for it is made before it is asked for. */
async function sendForKey(given: Arguments, context: Context, asked: NamedRequest): Promise<ExitCode> {
  const [file, profile] = [given.text("file"), given.text("save")];
  if (given.isSet("curl")) return await sendNamed(context, given, asked, () => exitCodes.done);
  if (file === undefined && profile === undefined && !given.isSet("show")) {
    throw usageError("Say where the key goes, which is told once: --file FILE, --save PROFILE or --show.");
  }
  if (profile !== undefined) context.store.keyFile(profile);
  const handle = file === undefined ? undefined : await openNew(file);
  try {
    return await sendNamed(context, given, asked, async (reply) => {
      const key = member(reply, "key") ?? "";
      await handle?.writeFile(`${key}\n`);
      if (profile !== undefined) await saveProfile(context.store, profile, { url: context.settings.url }, key);
      showKey(given, context, reply, key);
      return exitCodes.done;
    });
  } catch (error) {
    if (file !== undefined) await rm(file, { force: true });
    throw error;
  } finally {
    await handle?.close();
  }
}

function showKey(given: Arguments, { output }: Context, reply: JsonObject, key: string): void {
  const known = reply["api_key"] ?? {};
  // What is known of a key is a message, whose JSON is an object.
  const id = member(known as JsonObject, "id") ?? "";
  if (given.isSet("show")) output.value({ api_key: known, key }, key);
  else output.value({ api_key: known }, id);
}

async function openNew(file: string) {
  try {
    return await open(file, "wx", 0o600);
  } catch (cause) {
    throw new CliError(`${file} cannot be made; a key is not written over another file.`, { cause });
  }
}
