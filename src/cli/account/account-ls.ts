import type { Command } from "../command/command.ts";
import { listNamed } from "../command/named-call.ts";
import { member } from "../execution/execution-text.ts";
import { exitCodes } from "../output/exit-codes.ts";

const service = "flowcall.v1.LinkedAccountService";

export const accountLs: Command = {
  name: "account ls",
  summary: "Lists the linked accounts of the environment.",
  positionals: [],
  options: {},
  example: "flowcall account ls",

  async run(_, context) {
    const name = `${service}.ListLinkedAccounts`;
    const accounts = await listNamed(await context.connect(), { name, request: {} }, "linked_accounts");
    context.output.table(accounts, [
      ["ACCOUNT", (account) => member(account, "account_id")],
      ["NAME", (account) => member(account, "name")],
      ["CREATED", (account) => member(account, "create_time")],
    ]);
    return exitCodes.done;
  },
};
