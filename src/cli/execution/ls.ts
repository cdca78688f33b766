import { create, type JsonObject, toJson } from "@bufbuild/protobuf";
import {
  type Execution,
  type ExecutionError,
  ExecutionSchema,
  ExecutionService,
  ListExecutionsRequestSchema,
  Execution_SourceSchema as SourceSchema,
  Execution_StateSchema as StateSchema,
  Execution_TypeSchema as TypeSchema,
} from "../../gen/flowcall/v1/execution_pb.ts";
import { accountOption, type Command, curlOption, slugOption } from "../command/command.ts";
import { send } from "../command/context.ts";
import { exitCodes } from "../output/exit-codes.ts";
import type { Column } from "../output/output.ts";
import { durationText, member, timeText } from "./execution-text.ts";
import { filterOf, wordsOf } from "./list-filter.ts";
import { workflowNames, workflowText } from "./workflow-names.ts";

const service = ExecutionService.method;

const pageMax = 200;

const limitDefault = 50;

export const ls: Command = {
  name: "ls",
  summary: "Lists executions, newest first.",
  positionals: [],
  options: {
    workflow: { type: "string", short: "w", value: "ALIAS|ID", help: "only this workflow" },
    ...slugOption,
    account: { ...accountOption["account"], type: "string", help: "only this linked account" },
    state: {
      type: "string",
      value: "STATE",
      multiple: true,
      choices: wordsOf(StateSchema),
      help: "only this state, as RUNNING or ERRORED; more than once: any of them",
    },
    reason: { type: "string", value: "REASON", help: "only those that failed for this reason, as HTTP_STATUS" },
    node: { type: "string", value: "NODE", help: "only those that failed at this node" },
    id: { type: "string", value: "PREFIX", help: "only those whose id begins so" },
    source: {
      type: "string",
      value: "SOURCE",
      choices: wordsOf(SourceSchema),
      help: "only this source, as API_CALL or RERUN",
    },
    type: { type: "string", value: "TYPE", choices: wordsOf(TypeSchema), help: "SYNC or ASYNC" },
    tag: { type: "string", value: "TAG", help: "only this label" },
    parent: { type: "string", value: "ID", help: "only those that Sub Flow nodes of this execution began" },
    since: {
      type: "string",
      value: "TIME",
      help: "only those accepted since, as 2026-01-31T12:00:00Z, or 90m, 12h, 7d ago",
    },
    before: { type: "string", value: "TIME", help: "only those accepted before" },
    limit: { type: "string", short: "n", value: "N", help: `at most so many; ${limitDefault} if absent` },
    ...curlOption,
  },
  example: "flowcall ls --workflow create-task --state COMPLETED --since 12h",

  async run(given, context) {
    const limit = given.number("limit") ?? limitDefault;
    const filter = create(ListExecutionsRequestSchema, {
      ...filterOf(given, context),
      pageSize: Math.min(limit, pageMax),
    });
    if (given.isSet("curl")) {
      return await send(context, given, service.listExecutions, filter, () => exitCodes.done);
    }
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
    const isText = context.output.format === "text";
    const names = isText ? await workflowNames(client, [...new Set(found.map((one) => one.workflowId))]) : new Map();
    const byId = new Map(found.map((execution) => [execution.id, execution]));
    const of = (row: JsonObject) => byId.get(member(row, "id") ?? "");
    const columns: readonly Column<JsonObject>[] = [
      ["ID", (row) => member(row, "id")],
      ["STATE", (row) => member(row, "state")],
      ["WORKFLOW", (row) => workflowText(nameOf(names, row), of(row)?.workflowVersion ?? 0)],
      ["ACCOUNT", (row) => member(row, "linked_account_id"), 3],
      ["CREATED", (row) => timeText(of(row)?.createTime), 4],
      ["TOOK", (row) => durationText(of(row)?.createTime, of(row)?.endTime), 5],
      ["SOURCE", (row) => (member(row, "source") === "API_CALL" ? "" : member(row, "source")), 1],
      ["TAG", (row) => member(row, "tag"), 2],
      ["ERROR", (row) => shortError(of(row)?.error)],
    ];
    // A column that is empty in every row is left out.
    context.output.table(
      rows,
      columns.filter(([title, text]) => title === "TOOK" || rows.some((row) => (text(row) ?? "") !== "")),
    );
    return exitCodes.done;
  },
};

function nameOf(names: ReadonlyMap<string, string>, row: JsonObject): string {
  const id = member(row, "workflow_id") ?? "";
  return names.get(id) ?? id;
}

/** For example `HTTP_STATUS at Charge`. */
function shortError(error: ExecutionError | undefined): string {
  if (error === undefined) {
    return "";
  }
  const node = error.nodeName || error.nodeId;
  return node === undefined ? error.reason : `${error.reason} at ${node}`;
}
