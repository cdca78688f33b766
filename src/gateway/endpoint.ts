import { type DescMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import type { Call, Invoke } from "../domain/http/call.ts";
import { namesTag } from "../domain/http/entity-tags.ts";
import type { HttpExchange, RequestHead } from "../domain/http/protocol-handler.ts";
import { writeFieldJson, writeJson } from "../domain/json/json-writer.ts";
import { fieldsRefused } from "../domain/json/violations.ts";
import type { Limits } from "../domain/limits.ts";
import type { Scope } from "../gen/flowcall/v1/options_pb.ts";
import { bodyType, typeRefused } from "./content-type.ts";
import { envelope, errorReply, restRefusal } from "./error-envelope.ts";
import type { HttpBinding } from "./http-binding.ts";
import { type HttpReply, writeReply } from "./http-reply.ts";
import { parseQuery } from "./query.ts";
import type { ReplyRule, ReplyTable } from "./reply-table.ts";
import { Transcoder } from "./transcode.ts";
import type { RestForm } from "./v2/rest-form.ts";

export type EndpointOptions = {
  readonly invoke: Invoke;
  readonly limits: Limits;
  readonly replies: ReplyTable;
  /** The form of this binding, where it is not that of its messages. */
  readonly form?: RestForm | undefined;
  readonly report: (error: unknown, call: Call) => void;
};

/** A request whose path has led to an endpoint; its segments are not decoded. */
export type MatchedRequest = { readonly head: RequestHead; readonly segments: readonly string[] };

/** A request message and what was answered to it. */
type Answered = { readonly answer: Message; readonly message: Message };

/** Each step of reading a shorter body takes less time than to wait for another turn. */
const largeBytesMin = 64 * 1024;

const noBody = new Uint8Array();

/** One unary method at one path: makes the request message, calls the handler chain, and writes the reply. */
export class Endpoint {
  readonly scope: Scope;
  readonly name: string;
  readonly #binding: HttpBinding;
  readonly #options: EndpointOptions;
  readonly #transcoder: Transcoder;
  /** The form of the reply over REST, where that is not the message itself. */
  readonly #rule: ReplyRule | undefined;
  readonly #etagName: string | undefined;

  /** Throws where the binding does not fit its messages. */
  constructor(binding: HttpBinding, options: EndpointOptions) {
    const { output } = binding.method;
    this.scope = binding.scope;
    this.name = binding.path;
    this.#binding = binding;
    this.#options = options;
    this.#transcoder = new Transcoder(binding, options.limits);
    this.#rule = options.replies.get(output.typeName);
    this.#etagName = etagName(output);
  }

  async serve(request: MatchedRequest, exchange: HttpExchange, call: Call): Promise<void> {
    const { invoke, report } = this.#options;
    let reply: HttpReply;
    try {
      const message = await this.#readRequest(request, exchange, call);
      const answer = await invoke(this.#binding.method, message, call);
      reply = this.#replyOf({ answer, message }, request, call);
    } catch (error) {
      const refusal = restRefusal(error, () => report(error, call));
      reply = errorReply(refusal, call);
    }
    await writeReply(exchange, reply, call);
  }

  /** Of a large body the steps take turns with others: it is parsed in one, made a message in another, and handled in a third. */
  async #readRequest({ head, segments }: MatchedRequest, exchange: HttpExchange, call: Call): Promise<Message> {
    const { isRead, bytesMax, limitName, parse } = this.#transcoder.body;
    let bytes: Uint8Array = noBody;
    if (isRead) {
      const type = isPlainJson(head) ? "json" : bodyType(head);
      bytes = type === "none" ? noBody : await exchange.readBody(bytesMax, { name: limitName, value: bytesMax });
      // HTTP/2 may send a body that the headers do not announce.
      if (type === "untyped" && bytes.length > 0) {
        throw typeRefused("none");
      }
    }
    const parsed = bytes.length === 0 ? undefined : parse(bytes);
    const isLarge = bytes.length >= largeBytesMin;
    if (isLarge) {
      await call.turn?.();
    }
    const { form } = this.#options;
    const query = form === undefined ? head.query : "";
    const request = this.#transcoder.requestOf({ segments, query }, parsed);
    if (form !== undefined) {
      const violations = form.fill(request, { query: parseQuery(head.query), call });
      if (violations.length > 0) {
        throw fieldsRefused(violations);
      }
    }
    if (isLarge) {
      await call.turn?.();
    }
    return request;
  }

  #replyOf({ answer, message }: Answered, { head }: MatchedRequest, call: Call): HttpReply {
    const { form } = this.#options;
    const reply = form === undefined ? this.#rule?.(answer) : form.reply(answer, message);
    const { status = 200, headers = {}, body = { kind: "message", message: answer } } = reply ?? {};
    if (body.kind === "error") {
      return { ...envelope(status, body.error, call), headers };
    }
    if (body.kind === "json") {
      return { status, type: "application/json", body: body.text, headers };
    }
    const { method, responseField } = this.#binding;
    const etag = this.#etagName && etagOf(answer, this.#etagName);
    const tagged = etag ? { etag, ...headers } : headers;
    if (etag && isReading(head) && namesTag(head.headers.get("if-none-match") ?? [], etag)) {
      return { status: 304, headers: tagged, body: "" };
    }
    const text =
      responseField === undefined
        ? writeJson(method.output, body.message)
        : writeFieldJson(method.output, responseField, body.message);
    return { status, type: "application/json", body: text, headers: tagged };
  }
}

/** Whether the body is JSON by a header that says no more than that, as most do. */
function isPlainJson({ headers }: RequestHead): boolean {
  const types = headers.get("content-type");
  return types?.length === 1 && types[0] === "application/json";
}

/** The name of a reply's string field `etag`; undefined where it has none. */
function etagName(schema: DescMessage): string | undefined {
  const field = schema.fields.find(({ name }) => name === "etag");
  return field?.fieldKind === "scalar" && field.scalar === ScalarType.STRING ? field.localName : undefined;
}

/** The `ETag` header of a reply, whose message holds the quotes too. */
function etagOf(message: Message, name: string): string | undefined {
  const { [name]: etag } = message as Message & Record<string, unknown>;
  return typeof etag === "string" && /^"[\x21\x23-\x7e]*"$/.test(etag) ? etag : undefined;
}

function isReading({ method }: RequestHead): boolean {
  return method === "GET" || method === "HEAD";
}
