import { setTimeout as wait } from "node:timers/promises";
import { toJson } from "@bufbuild/protobuf";
import {
  type ExecutionEvent,
  ExecutionEventSchema,
  ExecutionService,
  Execution_State as State,
  Execution_StateSchema as StateSchema,
} from "../../gen/flowcall/v1/execution_pb.ts";
import type { Client } from "../client/client.ts";
import { curlOf } from "../client/curl.ts";
import { accountOption, type Command, curlOption } from "../command/command.ts";
import type { Context } from "../command/context.ts";
import { messageFrom } from "../input/json-input.ts";
import { type ExitCode, exitCodes } from "../output/exit-codes.ts";
import { readFailure } from "../output/read-failure.ts";
import { errorText, nodeRunText, timeText, wordOf } from "./execution-text.ts";
import { LiveTree } from "./live-tree.ts";

/** Reconnects for a minute, longer than a crashed server takes to restart. */
const triesMax = 120;
const retryMs = 500;

export const watch: Command = {
  name: "watch",
  summary: "Follows an execution to its end, as a tree at a terminal, else one line for each event.",
  positionals: ["ID"],
  options: {
    account: { ...accountOption["account"], type: "string", help: "the linked account that it must belong to" },
    ...curlOption,
  },
  example: "flowcall watch 66e404464f475f36c0c95b5d",

  async run(given, context) {
    const { output, settings } = context;
    const account = given.text("account");
    const request = { execution_id: given.word(0), ...(account !== undefined && { linked_account_id: account }) };
    const method = ExecutionService.method.watchExecution;
    if (given.isSet("curl")) {
      const command = curlOf(method, messageFrom(method.input, request), { url: settings.url });
      output.value({ command }, command);
      return exitCodes.done;
    }
    let exitCode: ExitCode = exitCodes.stillRunning;
    const ended = (event: ExecutionEvent) => {
      if (event.fact.case !== "ended") {
        return;
      }
      exitCode = event.fact.value.state === State.COMPLETED ? exitCodes.done : exitCodes.notCompleted;
    };
    const events = follow(await context.connect(), { executionId: given.word(0), account }, context);
    await show(events, context, ended);
    return exitCode;
  },
};

async function show(
  events: AsyncIterable<ExecutionEvent>,
  { output }: Context,
  ended: (event: ExecutionEvent) => void,
): Promise<void> {
  if (output.format === "text" && output.stdout.isTTY === true) {
    const tree = new LiveTree(output);
    for await (const event of events) {
      ended(event);
      tree.show(event);
    }
    return;
  }
  const noticed = async function* () {
    for await (const event of events) {
      ended(event);
      yield event;
    }
  };
  await output.stream(noticed(), (event) => toJson(ExecutionEventSchema, event), eventText);
}

type Followed = { readonly executionId: string; readonly account: string | undefined };

/**
 * Resumes the stream after the last event id when it breaks: the server restarted, or the connection was lost. A stream
 * that never delivered an event is not resumed.
 */
async function* follow(
  client: Client,
  { executionId, account }: Followed,
  { output, signal }: Context,
): AsyncIterable<ExecutionEvent> {
  let lastEventId: string | undefined;
  for (let tries = 0; ; tries += 1) {
    const request = {
      executionId,
      ...(account !== undefined && { linkedAccountId: account }),
      ...(lastEventId !== undefined && { lastEventId }),
    };
    try {
      for await (const event of client.stream(ExecutionService.method.watchExecution, [request], { signal })) {
        yield event;
        tries = 0;
        lastEventId = event.id;
      }
      return;
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      if (lastEventId === undefined || tries >= triesMax || !(await isBroken(error))) {
        throw error;
      }
      if (tries === 0) {
        output.note("The stream broke; resuming…");
      }
      await wait(retryMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

/** A refusal with a reason would be the same the next time. Every other end of a stream is a break. */
async function isBroken(error: unknown): Promise<boolean> {
  const { Code, ConnectError } = await import("@connectrpc/connect");
  if (ConnectError.from(error).code === Code.Unavailable) {
    return true;
  }
  return (await readFailure(error)).reason === undefined;
}

/** An event as one line. */
export function eventText({ fact }: ExecutionEvent): string {
  switch (fact.case) {
    case "accepted":
      return `ACCEPTED   ${fact.value.executionId}  ${timeText(fact.value.createTime) ?? ""}`;
    case "nodeStarted":
    case "nodeFinished":
    case "iterationFinished":
      return nodeRunText(fact.value);
    case "ended": {
      const { state, error, endTime } = fact.value;
      const why = error === undefined ? "" : `  ${errorText(error)}`;
      return `${wordOf(StateSchema, state).padEnd(9)}  ${timeText(endTime) ?? ""}${why}`;
    }
    default:
      return "";
  }
}
