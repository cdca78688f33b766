import { CliError } from "./cli-error.ts";
import { exitCodes } from "./exit-codes.ts";
import type { Failure } from "./failure.ts";

/**
 * Turns whatever was thrown into a Failure. Connect's error codes and details are loaded only when the server refused the
 * call, so that every other command starts faster.
 */
export async function readFailure(error: unknown, url?: string): Promise<Failure> {
  const none = { violations: [], problems: [] };
  if (error instanceof CliError) {
    return { ...none, exitCode: error.exitCode, message: messageWithCauses(error) };
  }
  if (error instanceof Error && error.name === "ConnectError") {
    const { connectFailure } = await import("./connect-failure.ts");
    return connectFailure(error, url);
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { ...none, exitCode: exitCodes.error, message: `This is a bug in flowcall: ${message}` };
}

function messageWithCauses(error: Error): string {
  return error.cause instanceof Error ? `${error.message}\n  cause: ${messageWithCauses(error.cause)}` : error.message;
}
