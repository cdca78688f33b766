import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fromBinary, type JsonValue, toJson } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ExecuteWorkflowResponseSchema } from "../../src/gen/flowcall/v1/execution_pb.ts";
import { echoDefinition, type Flowcall, putWorkflow, startFlowcall, testKey } from "../support/flowcall.ts";
import { frame, framesOf } from "../support/grpc-web.ts";
import { type HttpAnswer, sendRequest } from "../support/http-request.ts";
import { lengthField, nestedValue } from "../support/struct-bytes.ts";
import { verdictOf } from "../support/verdict.ts";

/* One value, one verdict, in whichever format it comes; and what is accepted comes back as it was. */

type Case = {
  readonly name: string;
  /** A reason, or `accepted`. */
  readonly verdict: string;
  /** The JSON text, each byte as a character: as it is, in repeated parts, or an object of so many keys. */
  readonly text?: string;
  readonly parts?: readonly (readonly [string, number])[];
  readonly keys?: number;
  /** Set where a format around the text would change its meaning. */
  readonly only?: "REST";
};

const corpus: readonly Case[] = JSON.parse(readFileSync(join(import.meta.dirname, "corpus/json.json"), "utf8"));

function bytesOf({ text, parts, keys }: Case): Buffer {
  if (text !== undefined) {
    return Buffer.from(text, "latin1");
  }
  if (parts !== undefined) {
    return Buffer.from(parts.map(([part, times]) => part.repeat(times)).join(""), "latin1");
  }
  return Buffer.from(
    JSON.stringify(Object.fromEntries(Array.from({ length: keys ?? 0 }, (_, key) => [`k${key}`, key]))),
  );
}

const procedure = "/flowcall.v1.ExecutionService/ExecuteWorkflow";
const head = '{"workflow":"echo","linked_account_id":"john@acme.io","sync_execution":true,"payload":';

let flowcall: Flowcall;

beforeAll(async () => {
  flowcall = await startFlowcall();
  await putWorkflow(flowcall.url, { alias: "echo", definition: echoDefinition("{{event.body}}") });
});

afterAll(async () => flowcall?.stop());

function post(path: string, type: string, body: Uint8Array, version: "1.1" | "2" = "1.1"): Promise<HttpAnswer> {
  const headers = [
    ["x-api-key", testKey],
    ["content-type", type],
    ...(path === procedure
      ? []
      : ([
          ["linked_account_id", "john@acme.io"],
          ["sync_execution", "true"],
        ] as const)),
  ] as const;
  return sendRequest(flowcall.url, version, { method: "POST", path, headers, body });
}

const formats: readonly { readonly name: string; readonly send: (payload: Buffer) => Promise<HttpAnswer> }[] = [
  { name: "REST", send: (payload) => post("/api/v1/workflow/echo/execute", "application/json", payload) },
  {
    name: "REST over HTTP/2",
    send: (payload) => post("/api/v1/workflow/echo/execute", "application/json", payload, "2"),
  },
  { name: "Connect", send: (payload) => post(procedure, "application/json", wrapped(payload)) },
  { name: "gRPC-Web", send: (payload) => post(procedure, "application/grpc-web+json", frame(0, wrapped(payload))) },
];

function wrapped(payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from(head), payload, Buffer.from("}")]);
}

describe.each(formats)("over $name", ({ name, send }) => {
  test.each(corpus.filter(({ only }) => only === undefined || name.startsWith(only)))(
    "$name: $verdict",
    async (given) => {
      const payload = bytesOf(given);
      const answer = await send(payload);
      expect(verdictOf(answer)?.reason ?? "accepted").toBe(given.verdict);
      if (given.verdict === "accepted") {
        expect(sorted(returnValue(answer))).toEqual(sorted(JSON.parse(payload.toString() || "{}")));
      } else {
        // What is wrong is said, not sent back.
        expect(answer.body.length).toBeLessThan(4_096);
      }
      expect(Object.getOwnPropertyNames(Object.prototype)).not.toContain("polluted");
    },
  );
});

function returnValue({ headers, body }: HttpAnswer): JsonValue {
  const isFramed = headers.get("content-type")?.startsWith("application/grpc") === true;
  const [first] = isFramed ? framesOf(body) : [{ data: body }];
  return JSON.parse(first?.data.toString() ?? "").return_value;
}

/** The value as text, its members in one order. */
function sorted(value: JsonValue): string {
  return JSON.stringify(value, (_, each: unknown) =>
    typeof each === "object" && each !== null && !Array.isArray(each)
      ? Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1))
      : each,
  );
}

describe("in binary", () => {
  const fields = Buffer.concat([lengthField(1, "echo"), lengthField(3, "john@acme.io"), Buffer.from([0x28, 1])]);
  const payloadOf = (name: string, value: Uint8Array) =>
    lengthField(1, Buffer.concat([lengthField(1, name), lengthField(2, value)]));
  const send = (payload: Uint8Array) =>
    post(procedure, "application/proto", Buffer.concat([fields, lengthField(2, payload)]));

  test.each([
    ["array", 23, "accepted"],
    ["object", 23, "accepted"],
    ...[24, 33, 49, 99, 10_000, 100_000].flatMap((depth) =>
      ["array", "object"].map((kind) => [kind, depth, "PAYLOAD_TOO_DEEP"] as const),
    ),
    // Half a million containers are a megabyte of JSON and more than the transport takes of protobuf.
    ["array", 500_000, "PAYLOAD_TOO_LARGE"],
  ] as const)("%s nested %i deep in the payload: %s", async (kind, depth, verdict) => {
    const answer = await send(payloadOf("a", nestedValue(kind === "array" ? "array" : "object", depth)));
    expect(verdictOf(answer)?.reason ?? "accepted").toBe(verdict);
  });

  const number = (value: number) => {
    const bytes = Buffer.alloc(9);
    bytes.writeUInt8(0x11);
    bytes.writeDoubleLE(value, 1);
    return bytes;
  };
  test.each<readonly [string, Uint8Array, string]>([
    ["the integer 2^53", number(2 ** 53), "INVALID_JSON"],
    ["NaN", number(Number.NaN), "INVALID_JSON"],
    ["infinity", number(Number.POSITIVE_INFINITY), "INVALID_JSON"],
    ["the largest integer", number(Number.MAX_SAFE_INTEGER), "accepted"],
    ["NUL", lengthField(3, "\0"), "INVALID_JSON"],
    ["a surrogate", lengthField(3, Buffer.from([0xed, 0xa0, 0x80])), "INVALID_JSON"],
    ["the byte FF", lengthField(3, Buffer.from([255])), "INVALID_JSON"],
    ["a BOM", lengthField(3, "\ufeff"), "accepted"],
    ["a Value without a kind", new Uint8Array(), "INVALID_JSON"],
    ["two kinds", Buffer.concat([lengthField(3, "a"), number(1)]), "INVALID_JSON"],
  ])("%s: a verdict as of JSON", async (_, value, verdict) => {
    expect(verdictOf(await send(payloadOf("a", value)))?.reason ?? "accepted").toBe(verdict);
  });

  test.each(["__proto__", "constructor", "toString", "hasOwnProperty", ""])("the key %j comes back", async (name) => {
    const answer = await send(payloadOf(name, lengthField(3, "x")));
    const reply = toJson(ExecuteWorkflowResponseSchema, fromBinary(ExecuteWorkflowResponseSchema, answer.body));
    expect(JSON.stringify(Object(reply)["return_value"])).toBe(`{${JSON.stringify(name)}:"x"}`);
  });

  test("a key twice, and too many of them", async () => {
    const twice = Buffer.concat([payloadOf("a", number(1)), payloadOf("a", number(1))]);
    expect(verdictOf(await send(twice))?.reason).toBe("INVALID_JSON");
    const many = Buffer.concat(Array.from({ length: 10_001 }, (_, key) => payloadOf(`k${key}`, number(key))));
    expect(verdictOf(await send(many))?.reason).toBe("PAYLOAD_TOO_LARGE");
  });
});
