import { expect, test } from "vitest";
import { parsePathTemplate } from "../../src/gateway/path-template.ts";
import { RouteTrie } from "../../src/gateway/route-trie.ts";

const templates = [
  "GET /v1/things",
  "POST /v1/things",
  "GET /v1/things/{id}",
  "DELETE /v1/things/{id}",
  "GET /v1/things/special",
  "GET /v1/things/{id}/parts",
  "GET /v1/things/special/{name}/deep",
  "GET /v1/{kind}/list",
  "POST /v1/things/{id}:cancel",
  "GET /v1/{name=files/**}",
  "GET /v1/{name=files/**}:meta",
  "GET /v1/files/{id}/x",
];

/** Which of the templates a request leads to; else the other methods, else nothing. */
function check(request: string, among: readonly string[] = templates): string {
  const trie = new RouteTrie<string>();
  for (const entry of among) {
    const [method = "", path = ""] = entry.split(" ");
    trie.add(parsePathTemplate(path), method, entry);
  }
  const [method = "", path = ""] = request.split(" ");
  const found = trie.find(path, method);
  switch (found.kind) {
    case "route":
      return found.route;
    case "otherMethods":
      return found.methods.join();
    case "nothing":
      return "nothing";
  }
}

test.each([
  ["GET /v1/things", "GET /v1/things"],
  ["GET /v1/things/7", "GET /v1/things/{id}"],
  // The literal goes first, whatever stood first in the list.
  ["GET /v1/things/special", "GET /v1/things/special"],
  // Where the literal's branch leads to nothing, the wildcard's is tried.
  ["GET /v1/things/special/parts", "GET /v1/things/{id}/parts"],
  ["GET /v1/things/special/x/deep", "GET /v1/things/special/{name}/deep"],
  ["DELETE /v1/things/special", "DELETE /v1/things/{id}"],
  ["GET /v1/things/list", "GET /v1/things/{id}"],
  ["GET /v1/others/list", "GET /v1/{kind}/list"],
  ["POST /v1/things/7:cancel", "POST /v1/things/{id}:cancel"],
  ["GET /v1/things/7:cancel", "GET /v1/things/{id}"],
  ["GET /v1/things/a:b:c", "GET /v1/things/{id}"],
  ["GET /v1/files", "GET /v1/{name=files/**}"],
  ["GET /v1/files/a/b/c", "GET /v1/{name=files/**}"],
  ["GET /v1/files/a/x", "GET /v1/files/{id}/x"],
  ["GET /v1/files/a/x/y", "GET /v1/{name=files/**}"],
  ["GET /v1/files/a:meta", "GET /v1/{name=files/**}:meta"],
  ["PATCH /v1/things", "GET,POST"],
  ["PATCH /v1/things/special", "DELETE,GET"],
  ["GET /v1", "nothing"],
  ["GET /v1/", "nothing"],
  ["GET /v1/things/", "nothing"],
  ["GET /v1/things//parts", "nothing"],
  ["GET //v1/things", "nothing"],
  ["GET /v1/Things", "nothing"],
  ["GET /v1/%74hings", "nothing"],
  ["GET v1/things", "nothing"],
  ["GET *", "nothing"],
  ["GET ", "nothing"],
])("%s", (request, expected) => {
  expect(check(request)).toBe(expected);
});

test("two routes that no request could tell apart are refused", () => {
  expect(() => check("GET /", ["GET /v1/{a}/x", "GET /v1/{b}/x"])).toThrow(
    "GET /v1/{b}/x and GET /v1/{a}/x match the same paths",
  );
  expect(() => check("GET /", ["GET /v1/{a=x/*}", "GET /v1/x/{b}"])).toThrow("match the same paths");
  expect(() => check("GET /", ["GET /v1/{a=**}:v", "GET /v1/**:v"])).toThrow("match the same paths");
});

test("a segment with a verb is given without it", () => {
  const trie = new RouteTrie<string>();
  trie.add(parsePathTemplate("/v1/{id}:cancel"), "POST", "cancel");
  expect(trie.find("/v1/7:cancel", "POST")).toMatchObject({ segments: ["v1", "7"] });
});
