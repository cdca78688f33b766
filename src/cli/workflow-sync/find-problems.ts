import { didYouMean } from "../../domain/nearest.ts";
import { type FileProblem, problemAt } from "../workflow-file/file-problem.ts";
import type { WorkflowFile } from "../workflow-file/workflow-file.ts";
import type { RemoteWorkflows } from "./remote-workflows.ts";

/** Definitions that the server checks at the same time. */
const concurrencyMax = 8;

/**
 * Finds all problems of files: first in the files themselves, then, for the good ones, in their graphs, which the server
 * checks. Without `remote` the graphs are not checked.
 */
export async function problemsOf(
  files: readonly WorkflowFile[],
  remote: RemoteWorkflows | undefined,
  { isCreating = false }: { readonly isCreating?: boolean } = {},
): Promise<readonly FileProblem[]> {
  // Loaded here, so that commands which check nothing start faster.
  const rules = new (await import("../workflow-file/rule-problems.ts")).FileRules();
  const found: FileProblem[] = [];
  const good: WorkflowFile[] = [];
  const reportedSlugs = new Set<string>();
  for (const file of files) {
    const problems = [...file.problems];
    // A file that is named for an id belongs to an existing workflow.
    const isNew = remote === undefined ? !isId(file.header.alias) : remote.find(file) === undefined;
    if (problems.length === 0) {
      problems.push(...rules.problemsOf(file, { isNew }));
    }
    if (problems.length === 0) {
      good.push(file);
    }
    const { slug } = file.header;
    if (remote !== undefined && isNew && !isCreating && !reportedSlugs.has(slug)) {
      const missing = await integrationProblems(file, remote);
      if (missing.length > 0) {
        reportedSlugs.add(slug);
      }
      problems.push(...missing);
    }
    found.push(...problems);
  }
  for (let start = 0; start < good.length && remote !== undefined; start += concurrencyMax) {
    const slice = good.slice(start, start + concurrencyMax);
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
  if (slugs.includes(slug)) {
    return [];
  }
  const message = `the server has no integration ${slug}.${didYouMean(slug, slugs)} Create it: push with --create, or flowcall integration put ${slug}`;
  return [problemAt(file, ["slug"], { reason: "INTEGRATION_NOT_FOUND", message })];
}

function isId(alias: string): boolean {
  return /^[0-9a-f]{24}$/i.test(alias);
}
