import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import type { JsonObject } from "@bufbuild/protobuf";
import type { Context } from "../command/context.ts";
import { unreadable } from "../input/read-text.ts";
import { CliError, usageError } from "../output/cli-error.ts";
import { failureText } from "../output/failure.ts";
import { readFailure } from "../output/read-failure.ts";
import { extensions, filesBelow } from "../workflow-file/workflow-folder.ts";
import { applyPush } from "../workflow-sync/apply-push.ts";
import { preparePush } from "../workflow-sync/prepare-push.ts";
import { actionOf } from "../workflow-sync/push-plan.ts";

/** The interval of polling the folder. */
const pollMs = 250;

/** Throws CliError for a folder that does not exist, before the server is started for it. */
export async function checkFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch(async (cause: unknown) => {
    const { message } = await unreadable(folder, cause);
    throw new CliError(
      `${message} Create it with a first workflow: flowcall workflow new ${join(folder, "SLUG/ALIAS")}`,
    );
  });
  if (!found.isDirectory()) {
    throw usageError(`${folder} is not a folder. flowcall dev takes the folder of workflow files.`);
  }
}

/**
 * Pushes a folder now, and again whenever it has changed and no file changed for one interval. It polls: a watcher
 * (`fs.watch`) can miss changes while it starts. Missing integrations are created. An error is printed and the other files
 * are pushed.
 */
export async function* pushOnChange(folder: string, context: Context, ended: AbortSignal): AsyncIterable<JsonObject> {
  const signal = AbortSignal.any([context.signal, ended]);
  const { output } = context;
  output.note(`Watching ${resolve(folder)}. Files that are saved there are pushed and published. Ctrl-C ends it.`);
  let pushed: string | undefined;
  for (let seen = await fingerprint(folder); !signal.aborted; ) {
    const now = await fingerprint(folder);
    if (now !== pushed && now === seen) {
      pushed = now;
      yield* pushAll(folder, context);
    }
    seen = now;
    await wait(pollMs, undefined, { signal }).catch(() => undefined);
  }
}

/** Pushes once: prints the time, the problems, the results and a summary. */
async function* pushAll(folder: string, context: Context): AsyncIterable<JsonObject> {
  const { output } = context;
  output.note(`── ${new Date().toLocaleTimeString("sv")} ${folder}`);
  try {
    const { plan, ...prepared } = await preparePush([folder], context, {
      isPublishing: true,
      isCreating: true,
      isLenient: true,
    });
    const due = plan.filter((step) => actionOf(step) !== "none");
    yield* applyPush({ ...prepared, plan: due }, context);
    const [broken, rest] = [prepared.broken.length, plan.length - due.length];
    if (plan.length === 0 && broken === 0) {
      output.note(
        `There is no workflow file (${extensions.join(", ")}) yet: flowcall workflow new ${join(folder, "SLUG/ALIAS")}`,
      );
    } else {
      output.note(`${due.length} changed, ${rest} unchanged${broken === 0 ? "" : `, ${broken} broken`}`);
    }
  } catch (error) {
    output.note(failureText(await readFailure(error, context.settings.url)));
  }
}

/** A text that changes when a file is added, changed or removed. */
async function fingerprint(folder: string): Promise<string> {
  const names = [...(await filesBelow(folder).catch(() => []))].sort();
  const times = await Promise.all(
    names.map(async (name) => {
      const { mtimeMs, size } = await stat(join(folder, name)).catch(() => ({ mtimeMs: 0, size: 0 }));
      return `${name} ${mtimeMs} ${size}`;
    }),
  );
  return times.join("\n");
}
