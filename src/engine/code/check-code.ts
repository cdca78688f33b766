import { Script } from "node:vm";
import { lineAndColumnAt } from "../errors/line-and-column.ts";
import type { Field } from "../templates/field.ts";
import { blankLiterals } from "./blank-literals.ts";

/** Reports what keeps a script from running, as far as that can be seen without running it. */
export function checkCode(code: string, field: Field): void {
  const blanked = blankLiterals(code);
  const module = moduleUse(blanked);
  if (module !== undefined) {
    const { index } = module;
    const named = /^(?:require\s*\(|import\b[^'"`]*)\s*(['"`])([^'"`\n]{1,100})\1/.exec(code.slice(index))?.[2];
    const what = named === undefined ? "" : ` "${named}"`;
    const message = `There are no modules in a script, so${what || " this one"} cannot be loaded (${lineAndColumnAt(code, index)}). Write what you need into the code; calls belong into an HTTP node.`;
    field.error("CODE_MODULE_UNKNOWN", message);
    return;
  }
  const problem = syntaxProblem(code);
  if (problem !== undefined) {
    field.error("CODE_SYNTAX", problem);
    return;
  }
  if (!definesFunction(blanked)) {
    field.error("CODE_FUNCTION_MISSING", "The code defines no function yourFunction at its top level. Define it.");
  }
}

/** A call of `require`, or any `import`. Members of these names are none. */
function moduleUse(blanked: string): RegExpExecArray | undefined {
  return /(?<![\w$.])(?:require\s*\(|import\b(?!\s*:))/.exec(blanked) ?? undefined;
}

/** Parses the code, and does not run it. QuickJS, which runs it, knows the same language but for rare corners. */
function syntaxProblem(code: string): string | undefined {
  try {
    new Script(code, { filename: "code.js" });
    return undefined;
  } catch (error) {
    if (!(error instanceof Error)) {
      throw error;
    }
    const [, line] = /^code\.js:(\d+)/.exec(error.stack ?? "") ?? [];
    const [, , marks = ""] = (error.stack ?? "").split("\n");
    const column = /^\s*\^/.test(marks) ? `, column ${marks.indexOf("^") + 1}` : "";
    return `The code cannot be parsed: ${error.message.slice(0, 300)}${line === undefined ? "" : ` (line ${line}${column})`}.`;
  }
}

/** Whether `yourFunction` is declared or assigned outside of all brackets. */
function definesFunction(blanked: string): boolean {
  let depth = 0;
  for (const { 0: token } of blanked.matchAll(/[{([]|[})\]]|(?<![\w$.])yourFunction(?=\s*[=(])/g)) {
    if (token === "yourFunction") {
      if (depth === 0) {
        return true;
      }
    } else {
      depth += "{([".includes(token) ? 1 : -1;
    }
  }
  return false;
}
