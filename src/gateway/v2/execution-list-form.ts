import type { JsonObject } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { isDateTime, isDay } from "../../domain/json/day.ts";
import type { FieldViolation } from "../../domain/request-error.ts";
import {
  type ListExecutionsRequest,
  ListExecutionsRequestSchema,
  ListExecutionsResponseSchema,
  Execution_State as State,
  Execution_Type as Type,
} from "../../gen/flowcall/v1/execution_pb.ts";
import type { QueryParameter } from "../query.ts";
import { executionJson, executionSchema, sourceWords } from "./execution-form.ts";
import { accountOfKey, asMessage, jsonReply, unknownParameter } from "./form-fields.ts";
import type { RestForm } from "./rest-form.ts";

const limitDefault = 10;
const limitMax = 200;
/** How many executions the pages reach: `skip` of ListExecutions. */
const skipMax = 10_000;
const dayMs = 86_400_000;

/** Sets what a parameter says; answers what is wrong with its text. */
type Setter = (request: ListExecutionsRequest, text: string) => string | undefined;

const setters: Readonly<Record<string, Setter>> = {
  page: () => undefined,
  limit: () => undefined,
  workflow_id: (request, text) => {
    request.workflow = text;
    return undefined;
  },
  slug: (request, text) => {
    request.slug = text;
    return undefined;
  },
  status: (request, text) => {
    const state = memberOf(State, text);
    if (state === undefined) {
      return `must be All, ${namesOf(State).join(", ")}`;
    }
    request.state = state;
    return undefined;
  },
  execution_type: (request, text) => {
    const type = memberOf(Type, text);
    if (type === undefined) {
      return `must be ${namesOf(Type).join(" or ")}`;
    }
    request.type = type;
    return undefined;
  },
  execution_source: (request, text) => {
    const plain = text.toUpperCase().replace("_", " ");
    const source = [...sourceWords].find(([, word]) => word.toUpperCase() === plain)?.[0];
    if (source === undefined) {
      return `must be ${[...sourceWords.values()].join(" or ")}`;
    }
    request.source = source;
    return undefined;
  },
  start_date: (request, text) => {
    const ms = momentOf(text)?.fromMs;
    if (ms === undefined) {
      return expectedDate;
    }
    request.createdSince = timestampFromMs(ms);
    return undefined;
  },
  end_date: (request, text) => {
    const ms = momentOf(text)?.beforeMs;
    if (ms === undefined) {
      return expectedDate;
    }
    request.createdBefore = timestampFromMs(ms);
    return undefined;
  },
};

const expectedDate = "must be a day as 2026-01-31, a date-time of RFC 3339 or milliseconds since 1970";

/** ListExecutions with the query and the reply of `GET /api/v2/public/execution`. */
export const executionListForm: RestForm = {
  fill(message, { query, call }) {
    const request = asMessage(ListExecutionsRequestSchema, message);
    const account = accountOfKey(call);
    if (account !== undefined) {
      request.linkedAccountId = account;
    }
    const seen = new Set<string>();
    const given = query.filter(({ name, text }) => text !== "" && !(name === "status" && text === "All"));
    const violations = given.flatMap(({ name, text }): readonly FieldViolation[] => {
      const setter = Object.hasOwn(setters, name) ? setters[name] : undefined;
      if (setter === undefined) {
        return name === "sortAsc" && text === "false" ? [] : [unknownParameter(name, Object.keys(setters))];
      }
      const description = seen.has(name) ? "is given twice in the query" : setter(request, text);
      seen.add(name);
      return description === undefined ? [] : [{ field: name, description }];
    });
    return [...violations, ...setPage(request, given)];
  },
  reply(answer, asked) {
    const { executions, nextPageToken } = asMessage(ListExecutionsResponseSchema, answer);
    const { pageSize: limit = limitDefault, skip = 0 } = asMessage(ListExecutionsRequestSchema, asked);
    const page = skip / limit + 1;
    const hasNextPage = nextPageToken !== undefined && skip + limit <= skipMax;
    const known = skip + executions.length + Number(hasNextPage);
    return jsonReply({
      docs: executions.map(executionJson),
      totalDocs: known,
      limit,
      page,
      totalPages: Math.max(1, page + Number(hasNextPage)),
      pagingCounter: skip + 1,
      hasPrevPage: page > 1,
      hasNextPage,
      prevPage: page > 1 ? page - 1 : null,
      nextPage: hasNextPage ? page + 1 : null,
    });
  },
  documented: {
    operationId: "listExecutionsV2",
    summary: "Refold: executions by page",
    note:
      "The same call with the query and the reply that clients of Refold know. Pages are counted, and reach the newest " +
      "10,000 executions. Nothing is counted for `totalDocs` and `totalPages`: they are what this page shows to be there, " +
      "one more where there is a next page.",
    parameters: [
      parameter("page", { type: "integer", minimum: 1, default: 1 }),
      parameter("limit", { type: "integer", minimum: 1, maximum: limitMax, default: limitDefault }),
      parameter("workflow_id", { type: "string" }),
      parameter("slug", { type: "string" }, "Of use with `workflow_id` alone."),
      parameter("status", { enum: ["All", ...namesOf(State)] }),
      parameter("execution_type", { enum: namesOf(Type) }),
      parameter("execution_source", { enum: [...sourceWords.values()] }),
      parameter("start_date", { type: "string" }, `On this day or at this time, or later; ${expectedDate}.`),
      parameter("end_date", { type: "string" }, `On this day or at this time, or before; ${expectedDate}.`),
      parameter("sortAsc", { const: "false" }, "The newest are always first."),
    ],
    replies: {
      "200": {
        description: "A page of executions, newest first.",
        content: {
          "application/json": {
            schema: {
              type: "object",
              required: ["docs", "totalDocs", "limit", "page", "totalPages", "hasPrevPage", "hasNextPage"],
              properties: {
                docs: { type: "array", items: executionSchema },
                totalDocs: { type: "integer", description: "How many are known to be there: at least so many." },
                limit: { type: "integer" },
                page: { type: "integer" },
                totalPages: { type: "integer" },
                pagingCounter: { type: "integer" },
                hasPrevPage: { type: "boolean" },
                hasNextPage: { type: "boolean" },
                prevPage: { type: ["integer", "null"] },
                nextPage: { type: ["integer", "null"] },
              },
            },
          },
        },
      },
    },
  },
};

function setPage(request: ListExecutionsRequest, query: readonly QueryParameter[]): readonly FieldViolation[] {
  const numberOf = (field: string, absent: number) => {
    const text = query.find(({ name }) => name === field)?.text;
    return text === undefined ? absent : /^[0-9]{1,6}$/.test(text) ? Number(text) : 0;
  };
  const page = numberOf("page", 1);
  const limit = numberOf("limit", limitDefault);
  const skip = (page - 1) * limit;
  request.pageSize = limit;
  request.skip = Math.max(0, skip);
  return [
    ...(page < 1 ? [{ field: "page", description: "must be a whole number from 1" }] : []),
    ...(limit < 1 || limit > limitMax
      ? [{ field: "limit", description: `must be a whole number from 1 to ${limitMax}` }]
      : []),
    ...(skip > skipMax ? [{ field: "page", description: `reaches no further than ${skipMax} executions` }] : []),
  ];
}

/** The first millisecond of a text's day or moment, and the one behind its last; undefined where it is neither. */
function momentOf(text: string): { readonly fromMs: number; readonly beforeMs: number } | undefined {
  if (isDay(text)) {
    const fromMs = Date.parse(`${text}T00:00:00Z`);
    return { fromMs, beforeMs: fromMs + dayMs };
  }
  const isMoment = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i.test(text) && isDateTime(text);
  const fromMs = /^\d{1,14}$/.test(text) ? Number(text) : isMoment ? Date.parse(text) : Number.NaN;
  return Number.isNaN(fromMs) ? undefined : { fromMs, beforeMs: fromMs + 1 };
}

/** The names of an enum's members, but for the one that stands for none. */
function namesOf(members: Readonly<Record<string, number>>): string[] {
  return Object.entries(members).flatMap(([name, number]) => (number === 0 ? [] : [name]));
}

function memberOf<Member extends number>(members: Readonly<Record<string, Member>>, word: string): Member | undefined {
  const member = Object.hasOwn(members, word) ? members[word] : undefined;
  return member === 0 ? undefined : member;
}

function parameter(name: string, schema: JsonObject, description?: string): JsonObject {
  return { name, in: "query", ...(description !== undefined && { description }), schema };
}
