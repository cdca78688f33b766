import { create, type JsonObject, toJson } from "@bufbuild/protobuf";
import type { GenEnum } from "@bufbuild/protobuf/codegenv2";
import { type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type Execution,
  ExecutionSchema,
  ExecutionService,
  ListExecutionsRequestSchema,
  NodeRunSchema,
  RerunExecutionResponseSchema,
  RetryNodeResponseSchema,
  Execution_SourceSchema as SourceSchema,
  Execution_StateSchema as StateSchema,
  Execution_TypeSchema as TypeSchema,
} from "../gen/flowcall/v1/execution_pb.ts";
import type { Arguments } from "./arguments.ts";
import { usageError } from "./cli-error.ts";
import { accountOption, type Command, curlOption, type Options, slugOption } from "./command.ts";
import { type Context, send } from "./context.ts";
import { durationText, errorText, member, nodeRunText, timeText } from "./execution-text.ts";
import { exitCodes } from "./exit-codes.ts";
import { meant } from "./nearest.ts";
import { printable } from "./output.ts";

const service = ExecutionService.method;
const pageMax = 200;
const limitDefault = 50;

const guard: Options = {
  account: { ...accountOption["account"], type: "string", help: "the linked account that the execution must run for" },
};

export const ls: Command = {
  name: "ls",
  summary: "Lists executions, newest first.",
  positionals: [],
  options: {
    workflow: { type: "string", short: "w", value: "ALIAS|ID", help: "those of this workflow" },
    ...slugOption,
    account: { ...accountOption["account"], type: "string", help: "those of this linked account" },
    state: { type: "string", value: "STATE", help: "those in this state, as RUNNING or ERRORED" },
    source: { type: "string", value: "SOURCE", help: "those started by this, as API_CALL or RERUN" },
    type: { type: "string", value: "TYPE", help: "SYNC or ASYNC" },
    tag: { type: "string", value: "TAG", help: "those with this label" },
    since: {
      type: "string",
      value: "TIME",
      help: "those accepted since, as 2026-01-31T12:00:00Z, or 90m, 12h, 7d ago",
    },
    before: { type: "string", value: "TIME", help: "those accepted before" },
    limit: { type: "string", short: "n", value: "N", help: `how many at the most; ${limitDefault} if absent` },
    ...curlOption,
  },
  example: "flowcall ls --workflow create-task --state COMPLETED --since 12h",

  async run(given, context) {
    const limit = given.number("limit") ?? limitDefault;
    const filter = create(ListExecutionsRequestSchema, {
      ...filterOf(given, context),
      pageSize: Math.min(limit, pageMax),
    });
    if (given.isSet("curl")) return await send(context, given, service.listExecutions, filter, () => exitCodes.done);
    const client = await context.connect();
    const found: Execution[] = [];
    for (let pageToken: string | undefined, isLast = limit === 0; !isLast; isLast = pageToken === undefined) {
      const request = { ...filter, ...(pageToken !== undefined && { pageToken }) };
      const page = await client.unary(service.listExecutions, request, { signal: context.signal });
      found.push(...page.executions);
      pageToken = found.length < limit ? page.nextPageToken : undefined;
    }
    // The JSON of a message of ours is an object.
    const rows = found.slice(0, limit).map((execution) => toJson(ExecutionSchema, execution) as JsonObject);
    context.output.table(rows, [
      ["ID", (row) => member(row, "id")],
      ["STATE", (row) => member(row, "state")],
      ["WORKFLOW", (row) => `${member(row, "workflow_id")} v${member(row, "workflow_version")}`],
      ["ACCOUNT", (row) => member(row, "linked_account_id")],
      ["SOURCE", (row) => member(row, "source")],
      ["CREATED", (row) => member(row, "create_time")],
      ["TAG", (row) => member(row, "tag")],
    ]);
    return exitCodes.done;
  },
};

/** A profile's account is of no account here: it would hide executions without a word. */
function filterOf(given: Arguments, { settings }: Context) {
  const [workflow, linkedAccountId, tag] = [given.text("workflow"), given.text("account"), given.text("tag")];
  const [state, source, type] = [given.text("state"), given.text("source"), given.text("type")];
  const [since, before] = [given.text("since"), given.text("before")];
  const slug = workflow === undefined ? given.text("slug") : settings.slug;
  return {
    ...(workflow !== undefined && { workflow }),
    ...(slug !== undefined && { slug }),
    ...(linkedAccountId !== undefined && { linkedAccountId }),
    ...(tag !== undefined && { tag }),
    ...(state !== undefined && { state: numberOf(StateSchema, "state", state) }),
    ...(source !== undefined && { source: numberOf(SourceSchema, "source", source) }),
    ...(type !== undefined && { type: numberOf(TypeSchema, "type", type) }),
    ...(since !== undefined && { createdSince: momentOf(since) }),
    ...(before !== undefined && { createdBefore: momentOf(before) }),
  };
}

/** A word of an enum, in any case; what the descriptor holds is the enum's own number. */
function numberOf<T extends number>(words: GenEnum<T>, option: string, text: string): T {
  const known = words.values.filter(({ number }) => number !== 0);
  const found = known.find(({ name }) => name === text.toUpperCase());
  // The generated descriptor of an enum knows its values as numbers.
  if (found !== undefined) return found.number as T;
  const names = known.map(({ name }) => name);
  throw usageError(`--${option} is one of ${names.join(", ")}, not ${text}.${meant(text, names)}`);
}

const unitMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function momentOf(text: string): Timestamp {
  const [, count, unit = ""] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const ms = count === undefined ? Date.parse(text) : Date.now() - Number(count) * (unitMs[unit] ?? 0);
  if (Number.isNaN(ms) || (count === undefined && !/^\d{4}-/.test(text))) {
    throw usageError(`${JSON.stringify(text)} is no time; one is 2026-01-31T12:00:00Z, or 90m, 12h, 7d ago.`);
  }
  return timestampFromDate(new Date(ms));
}

export const get: Command = {
  name: "get",
  summary: "Says all that is known of an execution, or of one of its nodes.",
  positionals: ["ID"],
  options: {
    node: { type: "string", value: "NODE", help: "a node's run with its output; in a Group its path, as 4[12]/7" },
    ...guard,
    ...curlOption,
  },
  example: "flowcall get 66e404464f475f36c0c95b5d",

  async run(given, context) {
    const { output } = context;
    const request = guarded(given);
    const nodeId = given.text("node");
    if (nodeId === undefined) {
      return await send(context, given, service.getExecution, request, (execution) => {
        output.value(toJson(ExecutionSchema, execution), executionText(execution));
        return exitCodes.done;
      });
    }
    return await send(context, given, service.getNodeRun, { ...request, nodeId }, (nodeRun) => {
      // The JSON of a message of ours is an object.
      const json = toJson(NodeRunSchema, nodeRun) as JsonObject;
      const notes = nodeRun.notes.map((note) => `\n  ${printable(note)}`).join("");
      output.value(json, `${nodeRunText(nodeRun)}${notes}\n${JSON.stringify(json["output"] ?? null, undefined, 2)}`);
      return exitCodes.done;
    });
  },
};

function guarded(given: Arguments) {
  const linkedAccountId = given.text("account");
  return { executionId: given.word(0), ...(linkedAccountId !== undefined && { linkedAccountId }) };
}

function executionText(execution: Execution): string {
  const { createTime, endTime, error, nodeRuns } = execution;
  // The JSON of a message of ours is an object.
  const json = toJson(ExecutionSchema, execution) as JsonObject;
  const facts = [
    ["id", execution.id],
    ["state", member(json, "state")],
    ["workflow", `${execution.workflowId} v${execution.workflowVersion}`],
    ["account", execution.linkedAccountId],
    ["type", `${member(json, "type")} ${member(json, "source")}`],
    ["tag", execution.tag],
    ["rerun of", execution.rerunOf],
    ["retry of", execution.retryOf],
    ["created", timeText(createTime)],
    ["ended", endTime && `${timeText(endTime)} after ${durationText(createTime, endTime)}`],
    ["payload", JSON.stringify(json["payload"] ?? {})],
    ["response", "response" in json ? JSON.stringify(json["response"]) : undefined],
    ["error", error && errorText(error)],
  ] as const;
  const lines = facts.flatMap(([name, text]) => (text === undefined ? [] : [`${name.padEnd(9)} ${printable(text)}`]));
  return [...lines, ...nodeRuns.map((nodeRun) => `  ${nodeRunText(nodeRun)}`)].join("\n");
}

export const stop: Command = {
  name: "stop",
  summary: "Ends an execution for good.",
  positionals: ["ID"],
  options: { ...guard, ...curlOption },
  example: "flowcall stop 66e404464f475f36c0c95b5d",

  async run(given, context) {
    return await send(context, given, service.stopExecution, guarded(given), (execution) => {
      context.output.value(toJson(ExecutionSchema, execution), `${execution.id} STOPPED`);
      return exitCodes.done;
    });
  },
};

export const rerun: Command = {
  name: "rerun",
  summary: "Starts a new execution with the payload of an earlier one; prints its id.",
  positionals: ["ID"],
  options: {
    version: { type: "string", value: "N", help: "the published version to run; the earlier one's if absent" },
    ...guard,
    ...curlOption,
  },
  example: "flowcall rerun 66e404464f475f36c0c95b5d",

  async run(given, context) {
    const workflowVersion = given.number("version");
    const request = { ...guarded(given), ...(workflowVersion !== undefined && { workflowVersion }) };
    return await send(context, given, service.rerunExecution, request, (reply) => {
      context.output.value(toJson(RerunExecutionResponseSchema, reply), reply.executionId);
      return exitCodes.done;
    });
  },
};

export const retry: Command = {
  name: "retry",
  summary: "Tries a node of an ended execution again, and all behind it, as a new execution; prints its id.",
  positionals: ["ID", "NODE"],
  options: { ...guard, ...curlOption },
  example: "flowcall retry 66e404464f475f36c0c95b5d 3",

  async run(given, context) {
    const request = { ...guarded(given), nodeId: given.word(1) };
    return await send(context, given, service.retryNode, request, (reply) => {
      context.output.value(toJson(RetryNodeResponseSchema, reply), reply.executionId);
      return exitCodes.done;
    });
  },
};
