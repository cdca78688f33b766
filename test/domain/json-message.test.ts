import type { DescMessage, DescService } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { messageOf } from "../../src/domain/json/json-message.ts";
import type { RequestError } from "../../src/domain/request-error.ts";
import * as apiKeys from "../../src/gen/flowcall/v1/api_key_pb.ts";
import * as audit from "../../src/gen/flowcall/v1/audit_pb.ts";
import * as configs from "../../src/gen/flowcall/v1/config_pb.ts";
import * as connections from "../../src/gen/flowcall/v1/connection_pb.ts";
import * as executions from "../../src/gen/flowcall/v1/execution_pb.ts";
import * as integrations from "../../src/gen/flowcall/v1/integration_pb.ts";
import * as accounts from "../../src/gen/flowcall/v1/linked_account_pb.ts";
import * as workflows from "../../src/gen/flowcall/v1/workflow_pb.ts";

const files = [apiKeys, audit, configs, connections, executions, integrations, accounts, workflows];
const services = files.flatMap((file) => Object.values(file).filter(isService));

/** What reading a request's JSON gives: nothing, or the fields that are refused. */
function check(schema: DescMessage, json: { readonly [name: string]: string }): readonly string[] {
  try {
    messageOf(schema, json);
    return [];
  } catch (error) {
    // A refusal is one.
    return (error as RequestError).details.violations?.map(({ field }) => field) ?? [String(error)];
  }
}

const times = services.flatMap(({ methods }) =>
  methods.flatMap(({ input }) => input.fields.filter(isTimestamp).map((field) => [input, field] as const)),
);

test("there are times in requests", () => expect(times.length).toBeGreaterThanOrEqual(5));

test.each(times)("$typeName refuses a time that does not exist", (input, field) => {
  for (const name of new Set([field.name, field.jsonName])) {
    for (const text of ["2024-02-29T00:00:00Z", "2024-02-29T23:59:59.5+01:00"]) {
      expect(check(input, { [name]: text })).toEqual([]);
    }
    for (const day of ["2024-02-30", "2023-02-29", "2024-04-31"]) {
      expect([day, ...check(input, { [name]: `${day}T00:00:00Z` })]).toEqual([day, field.name]);
    }
    // A leap second that was one too: no clock here has it.
    for (const time of ["2024-01-01T24:00:00Z", "2016-12-31T23:59:60Z"]) {
      expect([time, ...check(input, { [name]: time })]).toEqual([time, field.name]);
    }
  }
});

test("no time is in a message inside of a request, where nobody looks for it", () => {
  const inside = services.flatMap(({ methods }) =>
    methods.flatMap(({ input }) => [...messagesIn(input)].filter((message) => message.fields.some(isTimestamp))),
  );
  expect(inside.map(({ typeName }) => typeName)).toEqual([]);
});

function isService(value: unknown): value is DescService {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "service";
}

function isTimestamp({ message }: { readonly message?: DescMessage | undefined }): boolean {
  return message?.typeName === "google.protobuf.Timestamp";
}

function messagesIn(message: DescMessage, found = new Set<DescMessage>()): ReadonlySet<DescMessage> {
  for (const field of message.fields) {
    if (field.message === undefined || found.has(field.message)) {
      continue;
    }
    found.add(field.message);
    messagesIn(field.message, found);
  }
  return found;
}
