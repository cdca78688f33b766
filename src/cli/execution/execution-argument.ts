import { accountOption } from "../command/command.ts";
import type { Arguments } from "../command-line/arguments.ts";
import type { Options } from "../command-line/command-text.ts";

/** The option of commands that name one execution: a check that it belongs to this account. */
export const ofAccountOption: Options = {
  account: {
    ...accountOption["account"],
    type: "string",
    help: "the linked account that the execution must belong to",
  },
};

/** The request fields that name the command's execution. */
export function executionArgument(given: Arguments) {
  const linkedAccountId = given.text("account");
  return { executionId: given.word(0), ...(linkedAccountId !== undefined && { linkedAccountId }) };
}
