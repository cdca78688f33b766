import type { JsonValue } from "@bufbuild/protobuf";
import { chainHeader } from "../../domain/http/call-chain.ts";
import { type HttpHeader, type HttpNode, HttpNode_Answer } from "../../gen/flowcall/v1/definition_pb.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import { HttpFailure } from "../http/http-failure.ts";
import type { HeaderPair, HttpAnswer, HttpMethod } from "../http/http-request.ts";
import { checkRequestHeaders, isHeader, reservedHeader } from "../http/request-headers.ts";
import { withQuery } from "../http/url-query.ts";
import { closedObject } from "../schema/closed-object.ts";
import type { Field } from "../templates/field.ts";
import type { Scope } from "../templates/reference.ts";
import { compileUrl } from "../templates/url-template.ts";
import type { AnswerKind } from "./answer-value.ts";
import { failedAnswer } from "./failed-answer.ts";
import { headerOf, outputOf } from "./http-answer.ts";
import { compileBody } from "./http-body.ts";
import { compileFields, compileOptional, type RenderPairs, renderPairs } from "./http-fields.ts";
import { compilePages } from "./http-pagination.ts";
import type { Attempt, Leaf, LeafRequest, LeafTools } from "./leaf.ts";
import { retryAfterMs } from "./retry-after.ts";

/** Calls an HTTP API through the guarded client. This decides which answers are failures, and which of those are retried. */
export function compileHttp(message: HttpNode, { field, limits }: LeafTools): Leaf {
  const requestOf = compileRequest(message, { field, limits });
  const { variables } = field;
  const { pagination, query, connection } = message;
  const kind = kindOf(message);
  const pages = pagination && compilePages(pagination, { query, kind, field: field.member("pagination") });
  if (connection?.slug !== undefined && !slugPattern.test(connection.slug)) {
    const text = `"${connection.slug}" is not the slug of an integration. Remove it to use the workflow's own.`;
    field.member("connection.slug").error("CONNECTION_INVALID", text);
  }
  const acceptsAnyStatus = message.acceptAnyStatus ?? false;
  if (pages !== undefined && acceptsAnyStatus) {
    const text = "A page that is not answered with 2xx always fails the node. Remove accept_any_status or pagination.";
    field.member("accept_any_status").error("PAGINATION_INVALID", text);
  }
  return {
    run: async (attempt) => {
      const used = variables.length === 0 ? undefined : await attempt.readVariables(variables);
      const made = requestOf(attempt.scope);
      const access = connection && (await attempt.connect(connection.slug));
      const request = access === undefined ? made : { ...made, url: access.urlOf(made.url) };
      const send = (page: LeafRequest) => {
        const authorized = access === undefined ? page : access.authorize(page);
        return attempt.send(used === undefined ? authorized : used.guard(authorized));
      };
      if (pages !== undefined) {
        return pages(request, attempt, async (page) => checkStatus(await send(page), attempt));
      }
      const answer = await send(request);
      const isAccepted = acceptsAnyStatus && (attempt.isLast || !isTransient(answer));
      return outputOf(isAccepted ? answer : checkStatus(answer, attempt), kind);
    },
    output: outputSchema(pages === undefined ? bodies[kind] : { type: "array" }),
  };
}

/** Integrations are named so, and a template cannot name one: what a node may send is known when it is published. */
const slugPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** An answer to HEAD has no body, so it cannot be refused for not being JSON. */
function kindOf({ answer, method }: HttpNode): AnswerKind {
  const kind = kinds.get(answer) ?? "AUTO";
  return kind === "JSON" && method === "HEAD" ? "AUTO" : kind;
}

const kinds: ReadonlyMap<HttpNode_Answer | undefined, AnswerKind> = new Map([
  [HttpNode_Answer.JSON, "JSON"],
  [HttpNode_Answer.TEXT, "TEXT"],
  [HttpNode_Answer.BYTES, "BYTES"],
]);

/** JSON Schemas of bodies. */
const bodies: Readonly<Record<AnswerKind, JsonValue>> = {
  AUTO: true,
  JSON: true,
  TEXT: { type: "string" },
  BYTES: closedObject({ base64: { type: "string" }, content_type: { type: "string" } }),
};

function outputSchema(body: JsonValue): JsonValue {
  const headers = {
    type: "object",
    properties: { "set-cookie": { type: "array", items: { type: "string" } } },
    additionalProperties: { type: "string" },
  };
  return closedObject({ status: { type: "integer" }, headers, body });
}

function compileRequest(
  message: HttpNode,
  { field, limits }: Pick<LeafTools, "field" | "limits">,
): (scope: Scope) => LeafRequest {
  const method = compileMethod(message, field.member("method"));
  const takesPath = message.connection !== undefined;
  const url = compileUrl(message.url, field.member("url"), { takesPath });
  const query = compileFields(message.query, (index) => field.member(`query[${index}]`));
  const headers = compileHeaders(message.headers, field);
  const body = compileBody(message, { field, limits });
  const secretHeaders = new Set(message.headers.filter(({ secret }) => secret).map(({ key }) => key.toLowerCase()));
  return (scope) => {
    const content = body(scope);
    const own = headers(scope);
    const isTyped = own.some(([name]) => isHeader(name, "content-type"));
    return {
      method,
      url: withQuery(url.render(scope), query(scope)),
      headers: content === undefined || isTyped ? own : [...own, ["Content-Type", content.type]],
      secretHeaders,
      ...(content !== undefined && { body: content.text }),
    };
  };
}

/** Whether the same request may succeed a little later. */
function isTransient({ status }: HttpAnswer): boolean {
  return status === 408 || status === 429 || status >= 500;
}

function checkStatus(answer: HttpAnswer, attempt: Attempt): HttpAnswer {
  const { status } = answer;
  if (status >= 200 && status < 300) {
    return answer;
  }
  throw new NodeFailure("HTTP_STATUS", `The server answered with the status ${status}.`, {
    isFinal: !isTransient(answer),
    retryAfterMs: retryAfterMs(headerOf(answer, "retry-after"), attempt.now()),
    answer: failedAnswer(answer, attempt),
  });
}

const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const satisfies readonly HttpMethod[];

function compileMethod({ method, body }: HttpNode, field: Field): HttpMethod {
  const known = methods.find((one) => one === method);
  if (known === undefined) {
    field.error("METHOD_INVALID", `There is no method ${JSON.stringify(method)}. Use one of ${methods.join(", ")}.`);
  }
  if (known === "HEAD" && body.case !== undefined) {
    field.error("METHOD_INVALID", "A HEAD request has no body. Remove the body, or use another method.");
  }
  return known ?? "GET";
}

function compileHeaders(headers: readonly HttpHeader[], field: Field): RenderPairs {
  const compiled = headers.map(({ key, value }, index) => {
    const member = field.member(`headers[${index}]`);
    const isChain = member.isNew && key.toLowerCase() === chainHeader;
    const problem = isChain ? reservedHeader(key).message : headerProblem([key, ""]);
    if (problem !== undefined) {
      member.member("key").error("HEADER_INVALID", problem);
    }
    return [key, compileOptional(value, member.member("value"))] as const;
  });
  return renderPairs(compiled);
}

function headerProblem(header: HeaderPair): string | undefined {
  try {
    checkRequestHeaders([header]);
    return undefined;
  } catch (error) {
    if (error instanceof HttpFailure) {
      return error.message;
    }
    throw error;
  }
}
