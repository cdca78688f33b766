import { type Command, curlOption } from "../command/command.ts";
import { destination, sendForKey } from "./key-destination.ts";

const service = "flowcall.v1.ApiKeyService";

export const keyRotate: Command = {
  name: "key rotate",
  summary: "Gives a key a new text; with --overlap the old text works for a while longer.",
  positionals: ["ID"],
  options: {
    overlap: { type: "string", value: "SECONDS", help: "how long the old text still works" },
    ...destination,
    ...curlOption,
  },
  example: "flowcall key rotate 66e404464f475f36c0c95b5d --overlap 3600 --file ci.key",

  async run(given, context) {
    const overlap = given.number("overlap");
    const request = { api_key_id: given.word(0), ...(overlap !== undefined && { overlap_seconds: overlap }) };
    return await sendForKey(given, context, { name: `${service}.RotateApiKey`, request });
  },
};
