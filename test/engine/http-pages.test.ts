import type { RequestListener } from "node:http";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { call, keysOf } from "./http-node.ts";

/** Answers each path with a body, and with a `Link` where it has one; any other path with an empty array. */
function pages(
  byPath: Readonly<Record<string, JsonValue>>,
  links: Readonly<Record<string, string>> = {},
): RequestListener {
  return ({ url = "" }, response) => {
    const link = links[url];
    response.writeHead(200, { "content-type": "application/json", ...(link && { link }) });
    response.end(JSON.stringify(byPath[url] ?? []));
  };
}

/** Expects the paths that were asked for, and the body or the reason of the failure. */
async function check(
  http: JsonObject & { readonly pagination: JsonObject },
  onRequest: RequestListener,
  expected: {
    readonly paths: readonly string[];
    readonly body?: JsonValue;
    readonly reason?: string;
    readonly limits?: object;
  },
): Promise<void> {
  const { response, requests, outcome } = await call({
    http,
    onRequest,
    data: "{{node.c.body}}",
    limits: expected.limits ?? {},
  });
  expect(requests.map(({ path }) => path)).toEqual(expected.paths);
  expect(outcome.error?.reason).toBe(expected.reason);
  expect(response).toEqual(expected.body);
  expect(keysOf(requests)).toEqual(requests.map((_, count) => `0123456789abcdef01234567:c:${count}`));
}

describe("all pages are asked for, and their items are one body", () => {
  test("by a page number, until a page has no items", () =>
    check(
      { url: "HOST/?q=1", query: [{ key: "per", value: "2" }], pagination: { page: { parameter: "page" } } },
      pages({ "/?q=1&per=2&page=1": [1, 2], "/?q=1&per=2&page=2": [3] }),
      { paths: ["/?q=1&per=2&page=1", "/?q=1&per=2&page=2", "/?q=1&per=2&page=3"], body: [1, 2, 3] },
    ));

  test("by a page number from 0, until a page is not full", () =>
    check(
      { pagination: { items: "data.items", page: { parameter: "p", first: 0, size: 2 } } },
      pages({ "/?p=0": { data: { items: ["a", "b"] } }, "/?p=1": { data: { items: ["c"] } } }),
      { paths: ["/?p=0", "/?p=1"], body: ["a", "b", "c"] },
    ));

  test("by an offset, which counts the items", () =>
    check({ pagination: { offset: { parameter: "skip" } } }, pages({ "/?skip=0": [1, 2], "/?skip=2": [3] }), {
      paths: ["/?skip=0", "/?skip=2", "/?skip=3"],
      body: [1, 2, 3],
    }));

  test("by a cursor, which is data and no more, until there is none", () =>
    check(
      { method: "POST", json: "{}", pagination: { items: "items", cursor: { parameter: "after", path: "meta.next" } } },
      pages({
        "/": { items: [1], meta: { next: "a&b=c#" } },
        "/?after=a%26b%3Dc%23": { items: [2], meta: { next: 7 } },
        "/?after=7": { items: [], meta: { next: null } },
      }),
      { paths: ["/", "/?after=a%26b%3Dc%23", "/?after=7"], body: [1, 2] },
    ));

  test("by the header Link", () =>
    check(
      { url: "HOST/v1/list", query: [{ key: "a", value: "1" }], pagination: { link: {} } },
      pages(
        { "/v1/list?a=1": [1], "/v1/next?x=2": [2], "/last": [3] },
        {
          "/v1/list?a=1": '</first>; rel="first", <next?x=2>; title="a, b"; rel="next last"',
          "/v1/next?x=2": "</last>;rel=next",
          "/last": '</v1/list>; rel="prev nextish"',
        },
      ),
      { paths: ["/v1/list?a=1", "/v1/next?x=2", "/last"], body: [1, 2, 3] },
    ));
});

describe("the pages have an end", () => {
  const endless: RequestListener = (_, response) => response.end('["xxxxxxxx"]');

  test("where the author says", () =>
    check({ pagination: { max_pages: 2, page: { parameter: "p" } } }, endless, {
      paths: ["/?p=1", "/?p=2"],
      body: ["xxxxxxxx", "xxxxxxxx"],
    }));

  test("at the service's limit, which fails the node", () =>
    check({ pagination: { page: { parameter: "p" } } }, endless, {
      limits: { httpPagesMax: 3 },
      paths: ["/?p=1", "/?p=2", "/?p=3"],
      reason: "PAGES_LIMIT",
    }));

  test("where they are too many bytes together", () =>
    check({ pagination: { page: { parameter: "p" } } }, endless, {
      limits: { httpAnswerBytesMax: 30 },
      paths: ["/?p=1", "/?p=2", "/?p=3"],
      reason: "ANSWER_TOO_LARGE",
    }));

  test("where they take too long together", async () => {
    const onRequest: RequestListener = ({ url }, response) => {
      if (url !== "/?p=2") {
        response.end("[1]");
      }
    };
    const http = { pagination: { page: { parameter: "p" } } };
    const { outcome, requests } = await call({ http, onRequest, settings: { timeout_ms: 300 } });
    expect(outcome.error).toMatchObject({ reason: "NODE_TIMED_OUT" });
    expect(requests).toHaveLength(2);
  });

  test("where one has no items", () =>
    check({ pagination: { items: "items", page: { parameter: "p" } } }, pages({ "/?p=1": { items: {} } }), {
      paths: ["/?p=1"],
      reason: "PAGE_INVALID",
    }));

  test.each(["http://127.0.0.1:1/", "https://127.0.0.1/", "//evil.invalid/", "http://:0/"])(
    "where a link leads to another origin: %s",
    (link) =>
      check({ pagination: { link: {} } }, pages({ "/": [1] }, { "/": `<${link}>; rel=next` }), {
        paths: ["/"],
        reason: "PAGE_INVALID",
      }),
  );
});

test("a parameter that the URL has already is replaced, however it is written there", () =>
  check(
    {
      url: "HOST/?a=1&p%61ge=7&b=2&page=9",
      pagination: { cursor: { parameter: "page", path: "next" }, items: "items" },
    },
    pages({
      "/?a=1&p%61ge=7&b=2&page=9": { items: [1], next: "x" },
      "/?a=1&b=2&page=x": { items: [2], next: "" },
    }),
    { paths: ["/?a=1&p%61ge=7&b=2&page=9", "/?a=1&b=2&page=x"], body: [1, 2] },
  ));

describe("no page is left out in silence", () => {
  const cursor = { parameter: "after", path: "meta.next" };

  test.each<JsonValue>([{}, { "meta.next": "x" }, { meta: "x" }, { meta: [] }])(
    "where the cursor's path has never led anywhere: %j",
    (rest) =>
      check({ pagination: { items: "items", cursor } }, pages({ "/": { items: [1], ...Object(rest) } }), {
        paths: ["/"],
        reason: "PAGE_INVALID",
      }),
  );

  test.each<[JsonValue, JsonObject]>([
    [{ items: [] }, {}],
    [{ items: [], meta: { next: null } }, {}],
    [{ items: [], meta: { next: false } }, {}],
    [{ items: [] }, { missing_is_last: true }],
  ])("but a first page may be the last: %j", (body, rest) =>
    check({ pagination: { items: "items", cursor: { ...cursor, ...rest } } }, pages({ "/": body }), {
      paths: ["/"],
      body: [],
    }),
  );

  test("nor where a single page has no cursor, as its author says", () =>
    check(
      { pagination: { items: "items", cursor: { ...cursor, missing_is_last: true } } },
      pages({ "/": { items: [1] } }),
      { paths: ["/"], body: [1] },
    ));

  test.each<JsonValue>([true, {}, ["x"]])("where the cursor is none: %j", (next) =>
    check({ pagination: { items: "items", cursor } }, pages({ "/": { items: [1], meta: { next } } }), {
      paths: ["/"],
      reason: "PAGE_INVALID",
    }),
  );

  test("where the pages go round in a circle", () =>
    check(
      { pagination: { link: {} } },
      pages({ "/": [1], "/2": [2] }, { "/": "</2>; rel=next", "/2": "</>; rel=next" }),
      {
        paths: ["/", "/2"],
        reason: "PAGE_INVALID",
      },
    ));

  test.each(["#2", "http://HOST/x/../list"])("nor where a page leads to itself, as %s", async (link) => {
    const onRequest: RequestListener = ({ url = "", headers }, response) => {
      if (url === "/") {
        response.writeHead(302, { location: "/list" }).end();
      } else {
        response.writeHead(200, { link: `<${link.replace("HOST", headers.host ?? "")}>; rel=next` }).end("[1]");
      }
    };
    const { outcome, requests } = await call({ http: { pagination: { link: {}, max_pages: 2 } }, onRequest });
    expect([outcome.error?.reason, requests.map(({ path }) => path)]).toEqual(["PAGE_INVALID", ["/", "/list"]]);
  });

  test("where a link is written in UTF-8", () =>
    check(
      { pagination: { link: {} } },
      pages({ "/": [1], "/caf%C3%A9": [2] }, { "/": Buffer.from('</café>; rel="next"').toString("latin1") }),
      { paths: ["/", "/caf%C3%A9"], body: [1, 2] },
    ));

  test("where a name in a path has a dot", () =>
    check(
      { pagination: { items: "data['a.b'][0]", cursor: { parameter: "after", path: "data['next.id']" } } },
      pages({ "/": { data: { "a.b": [[1]], "next.id": 2 } }, "/?after=2": { data: { "a.b": [[2]] } } }),
      { paths: ["/", "/?after=2"], body: [1, 2] },
    ));

  test("where the cursor is the URL of the next page, which is followed on its own origin alone", async () => {
    const onRequest: RequestListener = ({ url, headers }, response) => {
      const next = url === "/" ? `http://${headers.host}/p2` : "https://evil.invalid/p3";
      response.end(JSON.stringify({ items: [url], meta: { next } }));
    };
    const pagination = { items: "items", cursor };
    await check({ pagination: { ...pagination, max_pages: 2 } }, onRequest, {
      paths: ["/", "/p2"],
      body: ["/", "/p2"],
    });
    await check({ pagination }, onRequest, { paths: ["/", "/p2"], reason: "PAGE_INVALID" });
  });
});

test.each([
  '</9>; rel="next"; anchor="/other", </2>; rel="next"',
  '</2>; title="items <next>"; rel="next"',
  '</0>; title="x; rel=next"; rel="prev", </2>; rel="next"',
  '</2>; rel="last next"',
  "</2>; REL=NEXT",
  '</1>; rel="prev" , </2>; crossorigin; rel="next"',
  `</2>; rel="next"; title="${"x".repeat(8_192)}"`,
])("the link that is followed is the one whose relation is next: %s", (link) =>
  check({ pagination: { link: {} } }, pages({ "/": [1], "/2": [2] }, { "/": link }), {
    paths: ["/", "/2"],
    body: [1, 2],
  }),
);

test.each(["<".repeat(4_000), "nonsense", '</2>; rel="next'])(
  "a link header that cannot be read fails the node, so that no page is left out: %.20s",
  (link) =>
    check({ pagination: { link: {} } }, pages({ "/": [1], "/2": [2] }, { "/": link }), {
      paths: ["/"],
      reason: "PAGE_INVALID",
    }),
);

test("a page that fails begins the attempt again, and pages that were answered keep their keys", async () => {
  let count = 0;
  const onRequest: RequestListener = ({ url }, response) => {
    count += 1;
    response.writeHead(count === 2 ? 503 : 200).end(url === "/?p=3" ? "[]" : "[1]");
  };
  const { requests, outcome } = await call({
    http: { pagination: { page: { parameter: "p" } } },
    onRequest,
    settings: { retry: { max_attempts: 2 } },
  });
  expect(outcome.state).toBe("COMPLETED");
  expect(requests.map(({ path }) => path)).toEqual(["/?p=1", "/?p=2", "/?p=1", "/?p=2", "/?p=3"]);
  expect(keysOf(requests)).toEqual([0, 1, 0, 2, 3].map((each) => `0123456789abcdef01234567:c:${each}`));
});
