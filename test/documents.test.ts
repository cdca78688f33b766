import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Flowcall, startFlowcall } from "./support/flowcall.ts";
import { type HttpVersion, sendRequest } from "./support/http-request.ts";

/* What anybody may read and what never changes: it is sent once to each reader, and packed. */

let flowcall: Flowcall;

beforeAll(async () => {
  flowcall = await startFlowcall();
});

afterAll(async () => flowcall?.stop());

const paths = [
  "/openapi.json",
  "/descriptors.binpb",
  "/docs",
  "/docs/",
  "/docs/page.js",
  "/docs/operation.js",
  "/docs/page.css",
];
const versions = ["1.1", "2"] as const;

function read(version: HttpVersion, path: string, headers: Readonly<Record<string, string>> = {}, method = "GET") {
  return sendRequest(flowcall.url, version, { method, path, headers: Object.entries(headers) });
}

describe.each(versions)("over HTTP/%s", (version) => {
  test.each(paths)("%s has a strong validator for each encoding, and is not sent to who has it", async (path) => {
    const plain = await read(version, path);
    const packed = await read(version, path, { "accept-encoding": "gzip" });
    expect(gunzipSync(packed.body).equals(plain.body)).toBe(true);
    expect(packed.headers.get("content-encoding")).toBe("gzip");
    const tags = [plain, packed].map(({ headers }) => headers.get("etag") ?? "");
    for (const tag of tags) {
      expect(tag).toMatch(/^"[\w-]+"$/);
    }
    expect(new Set(tags).size).toBe(2);
    for (const { headers } of [plain, packed]) {
      expect(headers.get("vary")).toContain("Accept-Encoding");
    }
    for (const known of [`"other", W/${tags[1]}`, "*"]) {
      const again = await read(version, path, { "accept-encoding": "gzip", "if-none-match": known });
      expect([again.status, again.body.length, again.headers.get("etag")]).toEqual([304, 0, tags[1]]);
    }
    const other = await read(version, path, { "if-none-match": tags[1] ?? "" });
    expect([other.status, other.body.equals(plain.body)]).toEqual([200, true]);
  });

  test("HEAD tells the length and sends nothing", async () => {
    const { body } = await read(version, "/openapi.json");
    const head = await read(version, "/openapi.json", {}, "HEAD");
    expect([head.status, head.headers.get("content-length"), head.body.length]).toEqual([200, String(body.length), 0]);
  });
});
