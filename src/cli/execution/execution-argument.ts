import { accountOption } from "../command/command.ts";
import type { Arguments } from "../command-line/arguments.ts";
import type { Options } from "../command-line/command-text.ts";

/** For commands that are about one execution. */
export const guard: Options = {
  account: { ...accountOption["account"], type: "string", help: "the linked account that the execution must run for" },
};

/** The execution that a command is about. */
export function guarded(given: Arguments) {
  const linkedAccountId = given.text("account");
  return { executionId: given.word(0), ...(linkedAccountId !== undefined && { linkedAccountId }) };
}
