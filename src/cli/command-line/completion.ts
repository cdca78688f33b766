import { usageError } from "../output/cli-error.ts";
import type { CommandText, Program } from "./command-text.ts";
import { treeOf } from "./command-tree.ts";

const shells: readonly string[] = ["bash", "zsh", "fish", "powershell"];

/** `complete SHELL` prints a shell's script; that script calls `complete -- WORDS` at each press of Tab. */
export const completeText: CommandText = {
  name: "complete",
  summary: "Prints a script that completes commands and options in a shell: bash, zsh, fish or powershell.",
  positionals: ["SHELL"],
  options: {},
  example: "source <(flowcall complete bash)",
};

/** The library's bash script calls this function of the package bash-completion, which is not installed everywhere. */
const bashFallback = `
if ! declare -F _get_comp_words_by_ref > /dev/null; then
    _get_comp_words_by_ref() {
        words=("\${COMP_WORDS[@]}") cword=$COMP_CWORD
        cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]}
    }
fi
`.trimStart();

/** Prints a completion script, or completions. The library writes to the process's own stdout. */
export async function complete(program: Program, commands: readonly CommandText[], words: readonly string[]) {
  const [shell = ""] = words;
  if (shell !== "--" && (words.length !== 1 || !shells.includes(shell))) {
    throw usageError(`${program.name} complete takes a shell: ${shells.join(", ")}.`);
  }
  const { default: tab } = await import("@bomb.sh/tab/commander");
  const tree = treeOf(
    program,
    commands.filter(({ name }) => name !== completeText.name),
    () => undefined,
  );
  tab(tree);
  if (shell === "bash") {
    process.stdout.write(bashFallback);
  }
  await tree.parseAsync(["complete", ...words], { from: "user" });
}
