import type { Command } from "../command/command.ts";
import { listNamed } from "../command/named-call.ts";
import { member } from "../execution/execution-text.ts";
import { exitCodes } from "../output/exit-codes.ts";

const service = "flowcall.v1.ApiKeyService";

export const keyLs: Command = {
  name: "key ls",
  summary: "Lists the keys of the environment, newest first. The keys' texts cannot be shown again.",
  positionals: [],
  options: {},
  example: "flowcall key ls",

  async run(_, context) {
    const keys = await listNamed(await context.connect(), { name: `${service}.ListApiKeys`, request: {} }, "api_keys");
    context.output.table(keys, [
      ["ID", (key) => member(key, "id")],
      ["NAME", (key) => member(key, "name")],
      ["PREFIX", (key) => member(key, "prefix")],
      ["SCOPES", (key) => [key["scopes"] ?? []].flat().join(",")],
      ["CREATED", (key) => member(key, "create_time")],
      ["ENDS", (key) => member(key, "revoke_time") ?? member(key, "expire_time")],
    ]);
    return exitCodes.done;
  },
};
