import { type Command, curlOption } from "../command/command.ts";
import { sendNamed } from "../command/named-call.ts";
import { exitCodes } from "../output/exit-codes.ts";

const service = "flowcall.v1.ApiKeyService";

export const keyRevoke: Command = {
  name: "key revoke",
  summary: "Ends a key for good.",
  positionals: ["ID"],
  options: curlOption,
  example: "flowcall key revoke 66e404464f475f36c0c95b5d",

  async run(given, context) {
    const request = { api_key_id: given.word(0) };
    return await sendNamed(context, given, { name: `${service}.RevokeApiKey`, request }, (key) => {
      context.output.value(key, `${given.word(0)} revoked`);
      return exitCodes.done;
    });
  },
};
