import { type Command, curlOption } from "../command/command.ts";
import { sendNamed } from "../command/named-call.ts";
import { dataText } from "../input/json-input.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { variableService, variableText } from "./variable-text.ts";

export const variablePut: Command = {
  name: "variable put",
  summary: "Creates a variable that HTTP nodes send, or replaces it. It is a secret, unless --plain is given.",
  positionals: ["NAME"],
  options: {
    value: { type: "string", value: "TEXT|@FILE|-", help: "its value; read from the input if absent" },
    host: {
      type: "string",
      multiple: true,
      value: "HOST",
      help: "a host that the secret may be sent to, as api.example.com or *.example.com; * for any",
    },
    plain: { type: "boolean", help: "the value is no secret, and is shown" },
    ...curlOption,
  },
  example: "flowcall variable put BILLING_KEY --host api.example.com < key.txt",

  async run(given, context) {
    const text = await dataText(given.text("value") ?? "-", context.stdin);
    const request = {
      name: given.word(0),
      // A file of one line ends with a line end, which is none of the value.
      value: text.replace(/\r?\n$/, ""),
      is_secret: !given.isSet("plain"),
      hosts: [...given.texts("host")],
    };
    return await sendNamed(context, given, { name: `${variableService}.PutVariable`, request }, (variable) => {
      context.output.value(variable, variableText(variable));
      return exitCodes.done;
    });
  },
};
