import { meant } from "../../domain/nearest.ts";
import { type FileProblem, problemAt } from "../workflow-file/file-problem.ts";
import type { WorkflowFile } from "../workflow-file/workflow-file.ts";
import type { RemoteWorkflows } from "./remote-workflows.ts";

const atATime = 8;

/**
 * Everything that is wrong with files: first what they hold, then, of those that can be read, what the server says of
 * their graphs. Without a server, what they hold.
 */
export async function problemsOf(
  files: readonly WorkflowFile[],
  remote: RemoteWorkflows | undefined,
  { isCreating = false }: { readonly isCreating?: boolean } = {},
): Promise<readonly FileProblem[]> {
  // Only here, since a command that checks nothing begins sooner without what reads rules.
  const rules = new (await import("../workflow-file/rule-problems.ts")).FileRules();
  const found: FileProblem[] = [];
  const good: WorkflowFile[] = [];
  const told = new Set<string>();
  for (const file of files) {
    const problems = [...file.problems];
    // Only a workflow that is there has an id, and so a file that is named for one.
    const isNew = remote === undefined ? !isId(file.header.alias) : remote.find(file) === undefined;
    if (problems.length === 0) problems.push(...rules.problemsOf(file, { isNew }));
    if (problems.length === 0) good.push(file);
    const { slug } = file.header;
    if (remote !== undefined && isNew && !isCreating && !told.has(slug)) {
      const missing = await integrationProblems(file, remote);
      if (missing.length > 0) told.add(slug);
      problems.push(...missing);
    }
    found.push(...problems);
  }
  for (let start = 0; start < good.length && remote !== undefined; start += atATime) {
    const slice = good.slice(start, start + atATime);
    found.push(...(await Promise.all(slice.map((file) => remote.validate(file)))).flat());
  }
  return found;
}

export function errorsOf(problems: readonly FileProblem[]): readonly FileProblem[] {
  return problems.filter(({ severity }) => severity === "error");
}

async function integrationProblems(file: WorkflowFile, remote: RemoteWorkflows): Promise<readonly FileProblem[]> {
  const { slug } = file.header;
  const slugs = await remote.integrations();
  if (slugs.includes(slug)) return [];
  const message = `the server has no integration ${slug}.${meant(slug, slugs)} Make it: push with --create, or flowcall integration put ${slug}`;
  return [problemAt(file, ["slug"], { reason: "INTEGRATION_NOT_FOUND", message })];
}

function isId(alias: string): boolean {
  return /^[0-9a-f]{24}$/i.test(alias);
}
