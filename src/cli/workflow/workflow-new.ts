import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { basename, dirname, extname, join, relative, resolve } from "node:path";
import type { Command } from "../command/command.ts";
import { usageError } from "../output/cli-error.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { schemaFile } from "../workflow-file/schema-file.ts";
import { extensions, isThere, schemaName } from "../workflow-file/workflow-folder.ts";

/** The server's pattern of aliases and slugs. */
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

export const workflowNew: Command = {
  name: "workflow new",
  summary: "Creates the file of a small workflow with a test case, to start from.",
  positionals: ["FOLDER/SLUG/ALIAS"],
  options: { name: { type: "string", value: "NAME", help: "its display name; the alias if absent" } },
  example: "flowcall workflow new flows/shop/order",

  async run(given, context) {
    const word = given.word(0);
    const extension = extname(word).toLowerCase();
    const file = extensions.includes(extension) ? word : `${word}.yaml`;
    if (extension === ".json") {
      throw usageError("A new file is written as YAML. Leave .json away.");
    }
    const [alias, slug] = [basename(file, extname(file)), basename(dirname(resolve(file)))];
    for (const part of [alias, slug]) {
      if (!namePattern.test(part)) {
        throw usageError(`${JSON.stringify(part)} cannot be an alias or a slug. Use letters, digits, dots, - and _.`);
      }
    }
    if (await isThere(file)) {
      throw usageError(`${file} exists already.`);
    }
    const folder = dirname(dirname(file));
    const cases = join(dirname(file), `${alias}.test.yaml`);
    const schema = join(folder, schemaName);
    await mkdir(dirname(file), { recursive: true });
    await copyFile(schemaFile, schema);
    await writeFile(file, workflowText(given.text("name") ?? alias, relative(dirname(file), schema)), { flag: "wx" });
    if (!(await isThere(cases))) {
      await writeFile(cases, caseText);
    }
    context.output.value({ file, cases, workflow: `${slug}/${alias}` }, [file, cases].join("\n"));
    context.output.note(`Try it: flowcall dev ${folder}, or flowcall workflow push ${folder} --create --publish`);
    return exitCodes.done;
  },
};

function workflowText(name: string, schema: string): string {
  return `# yaml-language-server: $schema=${schema}
name: ${/^[A-Za-z][\w -]*$/.test(name) && !/^(?:true|false|null)$/i.test(name) ? name : JSON.stringify(name)}
definition:
  nodes:
    - id: start
      name: Start
      start:
        api_call:
          # A sample of what callers send: nodes read it as event.body.
          payload: { name: Ada }
    - id: answer
      name: Answer
      response:
        data:
          greeting: "Hello, {{event.body.name}}"
  edges:
    - { source: start, target: answer }
`;
}

const caseText = `# flowcall workflow test runs these against the draft.
cases:
  - name: greets by name
    payload: { name: Grace }
    expect: { greeting: "Hello, Grace" }
`;
