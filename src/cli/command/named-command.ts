import type { JsonObject } from "@bufbuild/protobuf";
import { exitCodes } from "../output/exit-codes.ts";
import { type Command, curlOption } from "./command.ts";
import { sendNamed } from "./named-call.ts";

export type NamedCommand = Pick<Command, "name" | "summary" | "example"> & {
  /** The full name of the method, as `flowcall.v1.ScheduleService.GetSchedule`. */
  readonly method: string;
  /** The fields of the request that the words behind the command fill, with what the help calls them. */
  readonly words: Readonly<Record<string, string>>;
  /** The reply as text. */
  readonly text: (reply: JsonObject) => string;
};

/** A command without options of its own that sends what its words name, and shows the reply. */
export function namedCommand({ method, words, text, ...rest }: NamedCommand): Command {
  return {
    ...rest,
    positionals: Object.values(words),
    options: curlOption,

    async run(given, context) {
      const request = Object.fromEntries(Object.keys(words).map((field, index) => [field, given.word(index)]));
      return await sendNamed(context, given, { name: method, request }, (reply) => {
        context.output.value(reply, text(reply));
        return exitCodes.done;
      });
    },
  };
}
