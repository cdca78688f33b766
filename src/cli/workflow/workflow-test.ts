import type { JsonObject } from "@bufbuild/protobuf";
import { accountOption, type Command, slugOption } from "../command/command.ts";
import type { Context } from "../command/context.ts";
import { dataText, parseJson } from "../input/json-input.ts";
import { CliError, usageError } from "../output/cli-error.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { printable } from "../output/output.ts";
import { accountOf } from "../settings/settings.ts";
import { type Case, readCases } from "../workflow-file/case-file.ts";
import { problemLine } from "../workflow-file/file-problem.ts";
import { applyPush } from "../workflow-sync/apply-push.ts";
import { preparePush } from "../workflow-sync/prepare-push.ts";
import { actionOf } from "../workflow-sync/push-plan.ts";
import { isPath } from "../workflow-sync/references.ts";
import { type CaseResult, runCase, type Tested } from "./run-case.ts";

export const workflowTest: Command = {
  name: "workflow test",
  summary: "Runs drafts with the test cases beside their files, or with your own payload; exits with 1 if one fails.",
  positionals: ["FOLDER|FILE|ALIAS..."],
  options: {
    push: { type: "boolean", help: "first makes the drafts equal to the files; publishes nothing" },
    data: { type: "string", short: "d", value: "JSON|@FILE|-", help: "runs this payload instead of the cases" },
    outputs: { type: "string", value: "JSON|@FILE|-", help: "outputs for nodes, by their ids: those nodes do not run" },
    "outputs-of": { type: "string", value: "ID", help: "takes the outputs from this execution" },
    ...accountOption,
    ...slugOption,
  },
  example: "flowcall workflow test flows --push",

  async run(given, context) {
    const { output } = context;
    const paths = (
      await Promise.all(given.positionals.map(async (word) => ((await isPath(word)) ? [word] : [])))
    ).flat();
    const aliases = given.positionals.filter((word) => !paths.includes(word));
    const own = await ownCase(given.text("data"), given.text("outputs"), context);
    const outputsOf = given.text("outputs-of");
    const tested: Tested[] = aliases.map((workflow) => {
      const { slug } = context.settings;
      return { workflow, ...(slug !== undefined && { slug }), name: workflow, cases: [own ?? sample] };
    });
    if (paths.length > 0) {
      tested.push(...(await inFiles(paths, context, { own, isPushing: given.isSet("push") })));
    }
    const results: CaseResult[] = [];
    for (const one of tested) {
      for (const item of one.cases) {
        const account = item.account ?? accountOf(context.settings);
        const result = await runCase(one, { ...item, account }, { context, outputsOf });
        results.push(result);
        if (output.format === "text") {
          output.value(null, resultText(result));
        }
      }
    }
    const failed = results.filter(({ isPassed }) => !isPassed).length;
    if (output.format !== "text") {
      output.table(results.map(resultJson), []);
    }
    output.note(`${results.length - failed} passed${failed === 0 ? "" : `, ${failed} failed`}`);
    return failed === 0 ? exitCodes.done : exitCodes.error;
  },
};

/** The case of a workflow without cases: its sample payload must complete. */
const sample: Case = { name: "its sample payload", outputs: {} };

async function ownCase(
  data: string | undefined,
  outputs: string | undefined,
  { stdin }: Context,
): Promise<Case | undefined> {
  if (data === undefined && outputs === undefined) {
    return undefined;
  }
  const payload = data === undefined ? undefined : objectIn(await dataText(data, stdin), "--data");
  const standIns = outputs === undefined ? {} : objectIn(await dataText(outputs, stdin), "--outputs");
  return { name: "the given payload", ...(payload !== undefined && { payload }), outputs: standIns };
}

function objectIn(text: string, option: string): JsonObject {
  const json = parseJson(text, option);
  if (typeof json === "object" && json !== null && !Array.isArray(json)) {
    return json;
  }
  throw usageError(`${option} must be a JSON object.`);
}

/** The workflows of files. A draft that differs from its file is refused: its test would say nothing about the file. */
async function inFiles(
  paths: readonly string[],
  context: Context,
  { own, isPushing }: { readonly own: Case | undefined; readonly isPushing: boolean },
): Promise<readonly Tested[]> {
  const prepared = await preparePush(paths, context);
  const due = prepared.plan.filter((step) => actionOf(step) !== "none");
  if (isPushing) {
    for await (const { failed } of applyPush({ ...prepared, plan: due }, context)) {
      if (failed !== undefined) {
        throw new CliError("Nothing was tested, because not every draft could be pushed.");
      }
    }
  } else if (due.length > 0) {
    const names = due.map(({ file }) => file.name).join(", ");
    throw new CliError(`The drafts on the server differ from ${names}. Push them first, or use --push.`);
  }
  const tested = prepared.plan.map(async ({ file }): Promise<Tested> => {
    const { slug, alias: workflow } = file.header;
    const found = own === undefined ? await readCases(file) : undefined;
    const problems = found?.problems ?? [];
    if (problems.length > 0) {
      throw new CliError(`These cases have errors:\n${problems.map(problemLine).join("\n")}`);
    }
    return { workflow, slug, name: `${slug}/${workflow}`, cases: found?.cases ?? [own ?? sample] };
  });
  return await Promise.all(tested);
}

function resultText({ name, workflow, isPassed, problems, executionId, answer }: CaseResult): string {
  const head = `${isPassed ? "ok    " : "FAILED"}  ${workflow}: ${name}`;
  if (isPassed) {
    return printable(answer === undefined ? head : `${head}  ${answer}`);
  }
  const more = executionId === undefined ? [] : [`flowcall get ${executionId}`];
  return [printable(head), ...[...problems, ...more].map((line) => `        ${printable(line)}`)].join("\n");
}

function resultJson({ name, workflow, isPassed, problems, executionId }: CaseResult): JsonObject {
  const id = executionId === undefined ? {} : { execution_id: executionId };
  return { workflow, case: name, passed: isPassed, problems: [...problems], ...id };
}
