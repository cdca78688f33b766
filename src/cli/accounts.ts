import type { JsonObject } from "@bufbuild/protobuf";
import { usageError } from "./cli-error.ts";
import { type Command, curlOption } from "./command.ts";
import { member } from "./execution-text.ts";
import { exitCodes } from "./exit-codes.ts";
import { dataText, parseJson } from "./json-text.ts";
import { listNamed, sendNamed } from "./named-call.ts";
import { printable } from "./output.ts";

const service = "flowcall.v1.LinkedAccountService";

export const accountPut: Command = {
  name: "account put",
  summary: "Creates a linked account, or replaces its name and attributes.",
  positionals: ["ACCOUNT"],
  options: {
    name: { type: "string", value: "NAME", help: "what people call it" },
    attributes: { type: "string", value: "JSON|@FILE|-", help: "what templates read as {{linked_account.…}}" },
    ...curlOption,
  },
  example: `flowcall account put ann@acme.io --name "Ann Poe" --attributes '{"plan": "pro"}'`,

  async run(given, context) {
    const [name, attributes] = [given.text("name"), given.text("attributes")];
    const json = attributes === undefined ? {} : parseJson(await dataText(attributes, context.stdin), "--attributes");
    if (typeof json !== "object" || json === null || Array.isArray(json))
      throw usageError("--attributes must be a JSON object.");
    const request = { account_id: given.word(0), ...(name !== undefined && { name }), attributes: json };
    return await sendNamed(context, given, { name: `${service}.PutLinkedAccount`, request }, (account) => {
      context.output.value(account, accountText(account));
      return exitCodes.done;
    });
  },
};

export const accountGet: Command = {
  name: "account get",
  summary: "Says what is known of a linked account.",
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

export const accountRm: Command = {
  name: "account rm",
  summary: "Deletes a linked account, with its configurations and credentials.",
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

function accountText(account: JsonObject): string {
  const name = member(account, "name");
  const words = [member(account, "account_id") ?? "", name ?? "", JSON.stringify(account["attributes"] ?? {})];
  return printable(words.filter((word) => word !== "").join("  "));
}
