import { readText } from "../input/read-text.ts";
import { CliError, usageError } from "../output/cli-error.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const [variable, fileVariable] = ["FLOWCALL_API_KEY", "FLOWCALL_API_KEY_FILE"];

/**
 * The environment with the key that FLOWCALL_API_KEY_FILE names a file of, as Docker and Kubernetes mount secrets. Throws
 * CliError, which names the variable, where the file cannot be read or holds no key.
 */
export async function withKeyOfFile(environment: Environment): Promise<Environment> {
  const file = environment[fileVariable];
  if (!file) {
    return environment;
  }
  if (environment[variable]) {
    throw usageError(`${variable} and ${fileVariable} are both set. Unset one of them.`);
  }
  const text = await readText(file).catch((error: unknown) => {
    const cause = error instanceof Error ? error.message : String(error);
    throw new CliError(`${fileVariable}: ${cause} Name the file of an API key.`);
  });
  const key = text.trim();
  if (!/^[\x21-\x7e]+$/.test(key)) {
    throw new CliError(`${fileVariable}: ${file} must hold an API key, one line of visible ASCII characters.`);
  }
  return { ...environment, [variable]: key };
}
