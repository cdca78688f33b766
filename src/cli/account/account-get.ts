import { type Command, curlOption } from "../command/command.ts";
import { sendNamed } from "../command/named-call.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { accountText } from "./account-text.ts";

const service = "flowcall.v1.LinkedAccountService";

export const accountGet: Command = {
  name: "account get",
  summary: "Shows a linked account.",
  positionals: ["ACCOUNT"],
  options: curlOption,
  example: "flowcall account get john@acme.io",

  async run(given, context) {
    const request = { account_id: given.word(0) };
    return await sendNamed(context, given, { name: `${service}.GetLinkedAccount`, request }, (account) => {
      context.output.value(account, accountText(account));
      return exitCodes.done;
    });
  },
};
