import { readFileSync, statSync } from "node:fs";

/** A secret is a URL or a few keys; a file that is longer is another file. */
const bytesMax = 64 * 1024;

type Variables = Readonly<Record<string, string | undefined>>;

export type ReadSecrets = {
  /** The variables with the text of each file in place of its name. */
  readonly variables: Readonly<Record<string, string>>;
  /** A line for each file that cannot be used. */
  readonly problems: readonly string[];
};

/**
 * Reads secrets that stand in files (Docker and Kubernetes mount them so): `NAME_FILE` names the file of the secret `NAME`.
 * A line break at the end does not count.
 */
export function readSecretFiles(given: Variables, secrets: readonly string[]): ReadSecrets {
  const variables = new Map<string, string>();
  for (const [name, text] of Object.entries(given)) {
    if (text !== undefined) {
      variables.set(name, text);
    }
  }
  const problems: string[] = [];
  for (const name of secrets) {
    const variable = `${name}_FILE`;
    const path = variables.get(variable);
    if (path === undefined) {
      continue;
    }
    variables.delete(variable);
    try {
      if (variables.has(name)) {
        throw new Error(`${name} is set too; unset one of them`);
      }
      variables.set(name, readSecret(path));
    } catch (error) {
      problems.push(`${variable}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { variables: Object.fromEntries(variables), problems };
}

/** Throws with what to do. */
function readSecret(path: string): string {
  let text: string;
  try {
    // To open a pipe would wait for its writer.
    if (!statSync(path).isFile()) {
      throw new Error("it is no ordinary file");
    }
    text = readFileSync(path, "utf8");
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    throw new Error(`${path} cannot be read (${cause}); name a file that this user may read`);
  }
  const secret = text.replace(/\r?\n$/, "");
  if (secret === "" || text.length > bytesMax) {
    throw new Error(`${path} must hold the secret and nothing else; it has ${text.length} characters`);
  }
  return secret;
}
