import { type Command, curlOption } from "../command/command.ts";
import { usageError } from "../output/cli-error.ts";
import { destination, sendForKey } from "./key-destination.ts";

const service = "flowcall.v1.ApiKeyService";

export const keyCreate: Command = {
  name: "key create",
  summary: "Creates a key in the environment of your own key.",
  positionals: ["NAME"],
  options: {
    scope: {
      type: "string",
      multiple: true,
      value: "SCOPE",
      choices: ["execute", "read", "author", "admin"],
      help: "execute, read, author or admin; may repeat",
    },
    workflow: {
      type: "string",
      multiple: true,
      value: "ID|ALIAS",
      help: "restricts the key to this workflow; may repeat",
    },
    account: {
      type: "string",
      multiple: true,
      value: "ACCOUNT",
      help: "restricts the key to this linked account; may repeat",
    },
    expires: { type: "string", value: "TIME", help: "when it ends, as 2027-01-31T00:00:00Z" },
    ...destination,
    ...curlOption,
  },
  example: "flowcall key create ci --scope read --scope author --file ci.key",

  async run(given, context) {
    const expires = given.text("expires");
    const request = {
      name: given.word(0),
      scopes: given.texts("scope").flatMap((text) => text.split(",")),
      workflows: [...given.texts("workflow")],
      linked_accounts: [...given.texts("account")],
      ...(expires !== undefined && { expire_time: expires }),
    };
    if (request.scopes.length === 0) {
      throw usageError("Name the key's scopes by --scope: execute, read, author or admin.");
    }
    return await sendForKey(given, context, { name: `${service}.CreateApiKey`, request });
  },
};
