import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { goodKey, startServer } from "../server/running-server.ts";
import { sendRaw, statusesOf } from "../support/raw-socket.ts";

type Case = {
  readonly name: string;
  /** Each byte as a character. */
  readonly sent: string;
  readonly statuses: readonly number[];
  readonly served: number;
};

const corpus: readonly Case[] = JSON.parse(readFileSync(join(import.meta.dirname, "corpus/smuggling.json"), "utf8"));

/* A request has one reading or none: what could be read in two ways is refused, and ends its connection. */
test.each(corpus)("on a connection: $name", async ({ sent, statuses, served }) => {
  const { url, events } = await startServer({
    limits: { idleMs: 300, bodyMs: 500, headersMs: 500, firstBytesMs: 500 },
  });
  const received = await sendRaw(url, sent.replaceAll("{key}", goodKey));
  expect(statusesOf(received)).toEqual(statuses);
  expect(events.filter((event) => event === "serve")).toHaveLength(served);
  if ((statuses[0] ?? 0) >= 400) {
    const envelope = JSON.parse(received.slice(received.indexOf("\r\n\r\n") + 4));
    expect(envelope).toMatchObject({ status_code: statuses[0], error_code: expect.stringMatching(/^[A-Z_]+$/) });
  }
});
