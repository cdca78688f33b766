import { type Command, curlOption } from "../command/command.ts";
import { sendNamed } from "../command/named-call.ts";
import { exitCodes } from "../output/exit-codes.ts";

const service = "flowcall.v1.LinkedAccountService";

export const accountRm: Command = {
  name: "account rm",
  summary: "Deletes a linked account with its configurations and credentials.",
  positionals: ["ACCOUNT"],
  options: curlOption,
  example: "flowcall account rm ann@acme.io",

  async run(given, context) {
    const request = { account_id: given.word(0) };
    return await sendNamed(context, given, { name: `${service}.DeleteLinkedAccount`, request }, (reply) => {
      context.output.value(reply, "");
      return exitCodes.done;
    });
  },
};
