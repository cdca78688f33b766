import { expect, test } from "vitest";
import { defaultLimits } from "../../src/domain/limits.ts";
import { eventHeaders } from "../../src/rpc/chain/handler-call.ts";

test("an event keeps what the caller said, without secrets and without what belongs to the transport", () => {
  const headers = new Map(
    Object.entries({
      host: ["flows.example"],
      connection: ["keep-alive"],
      "content-length": ["2"],
      "transfer-encoding": ["chunked"],
      "x-api-key": ["secret"],
      cookie: ["secret"],
      "content-type": ["application/json"],
      "x-host": ["mine"],
      slug: ["asana"],
    }),
  );
  expect(eventHeaders(headers, defaultLimits)).toEqual({
    "content-type": "application/json",
    "x-host": "mine",
    slug: "asana",
  });
});
