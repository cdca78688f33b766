import { extname } from "node:path";

type Environment = Readonly<Record<string, string | undefined>>;

/** How a person starts the programs from where this one was started. */
export type ProgramNames = { readonly flowcall: string; readonly admin: string };

/** The scripts of a clone, where the sources run as they are; else the commands of the installed package. */
export function programNames(environment: Environment): ProgramNames {
  return extname(import.meta.filename) === ".ts"
    ? { flowcall: "npm run -s flowcall --", admin: "npm run -s flowcall-admin --" }
    : { flowcall: commandName("flowcall", environment), admin: commandName("flowcall-admin", environment) };
}

/** A command of the installed package. What npx has started is found by npx alone. */
export function commandName(command: string, environment: Environment): string {
  return environment["npm_lifecycle_event"] === "npx" ? `npx ${command}` : command;
}
