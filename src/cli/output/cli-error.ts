import { type ExitCode, exitCodes } from "./exit-codes.ts";

/** A command that cannot do what was asked: the message says what is wrong and what to do. */
export class CliError extends Error {
  readonly exitCode: ExitCode;

  constructor(message: string, options: { readonly exitCode?: ExitCode; readonly cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = "CliError";
    this.exitCode = options.exitCode ?? exitCodes.error;
  }
}

/** A command line that says nothing which can be done. */
export function usageError(message: string): CliError {
  return new CliError(message, { exitCode: exitCodes.usage });
}
