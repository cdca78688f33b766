import { type Command, curlOption } from "../command/command.ts";
import { sendNamed } from "../command/named-call.ts";
import { dataText, parseJson } from "../input/json-input.ts";
import { usageError } from "../output/cli-error.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { accountText } from "./account-text.ts";

const service = "flowcall.v1.LinkedAccountService";

export const accountPut: Command = {
  name: "account put",
  summary: "Creates a linked account, or replaces its name and attributes.",
  positionals: ["ACCOUNT"],
  options: {
    name: { type: "string", value: "NAME", help: "its display name" },
    attributes: { type: "string", value: "JSON|@FILE|-", help: "what templates read as {{linked_account.…}}" },
    ...curlOption,
  },
  example: `flowcall account put ann@acme.io --name "Ann Poe" --attributes '{"plan": "pro"}'`,

  async run(given, context) {
    const [name, attributes] = [given.text("name"), given.text("attributes")];
    const json = attributes === undefined ? {} : parseJson(await dataText(attributes, context.stdin), "--attributes");
    if (typeof json !== "object" || json === null || Array.isArray(json)) {
      throw usageError("--attributes must be a JSON object.");
    }
    const request = { account_id: given.word(0), ...(name !== undefined && { name }), attributes: json };
    return await sendNamed(context, given, { name: `${service}.PutLinkedAccount`, request }, (account) => {
      context.output.value(account, accountText(account));
      return exitCodes.done;
    });
  },
};
