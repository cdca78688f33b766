import { fromJson, type JsonObject, toJson } from "@bufbuild/protobuf";
import { ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import {
  ExecutionEventSchema,
  ExecutionService,
  WatchExecutionRequestSchema,
} from "../../src/gen/flowcall/v1/execution_pb.ts";
import { openReply, readEvents } from "../support/event-source.ts";
import type { HttpVersion } from "../support/http-request.ts";
import { refusalAnswer } from "./connect-answer.ts";

/** A call of WatchExecution: fields by their proto names, as they stand in the message. */
export type WatchCall = {
  readonly fields: JsonObject;
  readonly key?: string;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
};

/** Why a watch was refused or has failed: REST has a status, the others a code. */
export class WatchRefused extends Error {
  readonly reason: string | undefined;
  readonly status: number | string;

  constructor(reason: string | undefined, status: number | string, message: string) {
    super(message);
    this.reason = reason;
    this.status = status;
  }
}

export type WatchProtocol = {
  readonly name: string;
  readonly isRest: boolean;
  /** The events as JSON. Throws WatchRefused. */
  watch(call: WatchCall): AsyncGenerator<JsonObject>;
};

/** Every way to watch. */
export function watchProtocolsOf(baseUrl: string): readonly WatchProtocol[] {
  return [
    overRest(baseUrl, "1.1"),
    overRest(baseUrl, "2"),
    overTransport("Connect JSON", createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false })),
    overTransport("Connect binary", createConnectTransport({ baseUrl, httpVersion: "2", useBinaryFormat: true })),
    overTransport("gRPC-Web", createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })),
    overTransport("gRPC-Web over HTTP/2", createGrpcWebTransport({ baseUrl, httpVersion: "2" })),
    overTransport("gRPC", createGrpcTransport({ baseUrl })),
  ];
}

function overTransport(name: string, transport: Transport): WatchProtocol {
  const client = createClient(ExecutionService, transport);
  return {
    name,
    isRest: false,
    watch: async function* ({ fields, key, signal, timeoutMs }) {
      const options = { ...(key && { headers: { "x-api-key": key } }), ...(signal && { signal }) };
      try {
        const request = fromJson(WatchExecutionRequestSchema, fields);
        const events = client.watchExecution(request, { ...options, ...(timeoutMs && { timeoutMs }) });
        for await (const event of events) {
          yield toObject(toJson(ExecutionEventSchema, event, { alwaysEmitImplicit: true }));
        }
      } catch (error) {
        const { reason, code = "", text = "" } = refusalAnswer(ConnectError.from(error));
        throw new WatchRefused(reason, code, text);
      }
    },
  };
}

function overRest(url: string, version: HttpVersion): WatchProtocol {
  return {
    name: `REST over HTTP/${version}`,
    isRest: true,
    watch: async function* ({ fields, key, signal }) {
      const { execution_id, linked_account_id, last_event_id } = fields;
      const reply = await openReply(url, version, {
        path: `/api/v1/execution/${encodeURIComponent(String(execution_id))}/events`,
        headers: {
          ...(key && { "x-api-key": key }),
          ...(linked_account_id && { linked_account_id: String(linked_account_id) }),
          ...(last_event_id && { "last-event-id": String(last_event_id) }),
        },
      });
      signal?.addEventListener("abort", reply.close);
      // It may have been aborted before there was a reply to close.
      if (signal?.aborted) {
        reply.close();
      }
      try {
        if (reply.status === 204) {
          return;
        }
        if (reply.status !== 200) {
          throw refused(Buffer.concat(await reply.body.toArray()).toString());
        }
        for await (const { type, id, data = "" } of readEvents(reply.body)) {
          if (type === "error") {
            throw refused(data);
          }
          const event = toObject(JSON.parse(data || "{}"));
          if (data !== "" && (event["id"] !== id || typeOf(event) !== type)) {
            throw new Error(`not of one mind: ${data}`);
          }
          if (data !== "") {
            yield event;
          }
        }
      } finally {
        reply.close();
      }
    },
  };
}

function refused(envelope: string): WatchRefused {
  const { error_code, status_code, message } = JSON.parse(envelope);
  return new WatchRefused(error_code, status_code, message);
}

/** Which fact an event bears. */
export function typeOf(event: JsonObject): string {
  return Object.keys(event).find((name) => name !== "id") ?? "none";
}

function toObject(json: unknown): JsonObject {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new Error("an event is an object");
  }
  return Object.fromEntries(Object.entries(json));
}
