import type { Context } from "../context.ts";
import type { FileProblem } from "./file-problem.ts";
import type { RemoteWorkflows } from "./remote.ts";
import type { WorkflowFile } from "./workflow-file.ts";

const atATime = 8;

/**
 * Everything that is wrong with files: first what they hold, then, of those that can be read, what the server says of
 * their graphs. Without a server, what they hold.
 */
export async function problemsOf(
  files: readonly WorkflowFile[],
  remote: RemoteWorkflows | undefined,
  { output }: Pick<Context, "output">,
): Promise<readonly FileProblem[]> {
  const inFiles = files.flatMap(({ problems }) => problems);
  if (remote === undefined) return inFiles;
  const readable = files.filter(({ problems }) => problems.length === 0);
  const found: (readonly FileProblem[] | undefined)[] = [];
  for (let start = 0; start < readable.length; start += atATime) {
    const slice = readable.slice(start, start + atATime);
    found.push(...(await Promise.all(slice.map((file) => remote.validate(file)))));
  }
  if (found.includes(undefined) && inFiles.length === 0) {
    const why = remote.has("ValidateDraft")
      ? "there is no workflow yet to check them by"
      : "the server lacks ValidateDraft";
    output.note(`The graphs are not checked before they are published, since ${why}.`);
  }
  return [...inFiles, ...found.flatMap((problems) => problems ?? [])];
}

export function errorsOf(problems: readonly FileProblem[]): readonly FileProblem[] {
  return problems.filter(({ severity }) => severity === "error");
}
