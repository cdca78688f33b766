import type { JsonValue } from "@bufbuild/protobuf";
import { readOldPath, readPath } from "../../domain/json/value-path.ts";
import { unreachable } from "../../domain/unreachable.ts";
import type { HttpCursor, HttpNode, HttpPagination } from "../../gen/flowcall/v1/definition_pb.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import type { HttpAnswer } from "../http/http-request.ts";
import { withParameter } from "../http/url-query.ts";
import type { Field } from "../templates/field.ts";
import { walk } from "../templates/reference.ts";
import { textOf } from "../templates/text-budget.ts";
import type { AnswerKind } from "./answer-value.ts";
import { bytesOf, outputOf } from "./http-answer.ts";
import { checkName } from "./http-fields.ts";
import type { Attempt, LeafRequest } from "./leaf.ts";
import { hasRelation, parseLinks } from "./link-header.ts";

/** Requests all pages, and gives their items as one body. */
type RunPages = (
  request: LeafRequest,
  attempt: Attempt,
  send: (page: LeafRequest) => Promise<HttpAnswer>,
) => Promise<unknown>;

/** Compiles the pagination of an HTTP node. The number of pages and their bytes together have a limit. */
export function compilePages(pagination: HttpPagination, { query, kind, field }: PagesTools): RunPages {
  const { items: itemsPath, maxPages = Number.POSITIVE_INFINITY, next } = pagination;
  if (itemsPath !== "") {
    checkPath(itemsPath, field.member("items"));
  }
  checkNext(next, { query, kind, field });
  const first = firstOf(next);
  return async (request, { limits }, send) => {
    const items: JsonValue[] = [];
    let bytesLeft = limits.httpAnswerBytesMax;
    let page = first(request);
    const requested = new Set([addressOf(page.url)]);
    for (let pages = 1; ; pages += 1) {
      const answer = await send({ ...page, answerBytesMax: bytesLeft });
      requested.add(addressOf(answer.url));
      bytesLeft -= bytesOf(answer).length;
      const output = outputOf(answer, kind);
      const found = readItems(output.body, { itemsPath, pages });
      for (const item of found) {
        items.push(item);
      }
      const all = { ...output, body: items };
      if (pages >= maxPages) {
        return all;
      }
      const following = nextOf(next, {
        request,
        answer,
        body: output.body,
        found: found.length,
        items: items.length,
        pages,
      });
      if (following === undefined) {
        return all;
      }
      if (pages >= limits.httpPagesMax) {
        const message = `There are more than ${limits.httpPagesMax} pages (limit httpPagesMax). Request larger pages, or set max_pages.`;
        throw new NodeFailure("PAGES_LIMIT", message, { isFinal: true });
      }
      const address = addressOf(following.url);
      if (requested.has(address)) {
        throw pageInvalid(`Page ${pages} leads to a page that was requested before.`);
      }
      requested.add(address);
      page = following;
    }
  };
}

/** `query` are the node's own parameters, `kind` is the form of each body, and `field` is that of the pagination. */
type PagesTools = { readonly query: HttpNode["query"]; readonly kind: AnswerKind; readonly field: Field };

type Next = HttpPagination["next"];

function checkNext(next: Next, { query, kind, field }: PagesTools): void {
  if (field.isNew && (kind === "TEXT" || kind === "BYTES")) {
    const text = `A page has its items in JSON, but the node wants ${kind}. Remove answer or pagination.`;
    field.error("PAGINATION_INVALID", text);
  }
  if (next.case === undefined) {
    field.error("PAGINATION_INVALID", "The pagination has no kind. Set page, offset, cursor or link.");
  } else if (next.case !== "link") {
    const { parameter } = next.value;
    const member = field.member(`${next.case}.parameter`);
    checkName(parameter, member);
    if (query.some(({ key }) => key === parameter)) {
      member.error(
        "PAGINATION_INVALID",
        `The parameter ${JSON.stringify(parameter)} is in query too. Remove it there.`,
      );
    }
    if (next.case === "cursor" && next.value.path === "") {
      field
        .member("cursor.path")
        .error(
          "PAGINATION_INVALID",
          "The path of the cursor is missing. Write where a page has the cursor of the next page.",
        );
    } else if (next.case === "cursor") {
      checkPath(next.value.path, field.member("cursor.path"));
    }
  }
}

function firstOf(next: Next): (request: LeafRequest) => LeafRequest {
  switch (next.case) {
    case "page":
      return (request) => withPage(request, next.value.parameter, next.value.first ?? 1);
    case "offset":
      return (request) => withPage(request, next.value.parameter, next.value.first ?? 0);
    default:
      return (request) => request;
  }
}

type Page = {
  /** The node's request, without the parameter of a page. */
  readonly request: LeafRequest;
  readonly answer: HttpAnswer;
  readonly body: JsonValue;
  /** The number of items of this page, and of all pages so far. */
  readonly found: number;
  readonly items: number;
  readonly pages: number;
};

/** The request for the next page. Undefined after the last page. */
function nextOf(next: Next, { request, answer, body, found, items, pages }: Page): LeafRequest | undefined {
  switch (next.case) {
    case "page":
    case "offset": {
      const { parameter, first, size = 1 } = next.value;
      const number = next.case === "page" ? (first ?? 1) + pages : (first ?? 0) + items;
      return found < size ? undefined : withPage(request, parameter, number);
    }
    case "cursor": {
      const { parameter, path } = next.value;
      const cursor = walk(body, namesOf(path));
      if (isEnd(cursor, { next: next.value, found, pages })) {
        return undefined;
      }
      if (typeof cursor !== "number" && typeof cursor !== "string") {
        throw pageInvalid(`What page ${pages} has at ${JSON.stringify(path)} is neither text nor number.`);
      }
      // Many APIs give the whole URL of the next page. Sent as a parameter, it would request the first page again.
      if (/^https?:\/\//i.test(String(cursor))) {
        return { ...request, url: resolveLink(String(cursor), request, answer) };
      }
      return withPage(request, parameter, cursor);
    }
    case "link": {
      const link = nextLink(answer);
      return link === undefined ? undefined : { ...request, url: resolveLink(link, request, answer) };
    }
    case undefined:
      return undefined;
    default:
      return unreachable(next);
  }
}

type CursorPage = { readonly next: HttpCursor } & Pick<Page, "found" | "pages">;

/**
 * Whether this page is the last. A path that resolves on no page is a mistake of the author, and must not count as the end:
 * all pages but the first would be missing without a word.
 */
function isEnd(cursor: JsonValue | undefined, { next, found, pages }: CursorPage): boolean {
  if (cursor === undefined && pages === 1 && found > 0 && next.missingIsLast !== true) {
    const advice = "Check the path, or set missing_is_last where a single page has no cursor.";
    throw pageInvalid(`The first page has nothing at ${JSON.stringify(next.path)}. ${advice}`);
  }
  return cursor === undefined || cursor === null || cursor === "" || cursor === false;
}

function pageInvalid(message: string): NodeFailure {
  return new NodeFailure("PAGE_INVALID", message, { isFinal: true });
}

function withPage(request: LeafRequest, parameter: string, value: string | number): LeafRequest {
  return { ...request, url: withParameter(request.url, parameter, textOf(value)) };
}

function readItems(body: JsonValue, { itemsPath, pages }: { itemsPath: string; pages: number }): readonly JsonValue[] {
  const found = itemsPath === "" ? body : walk(body, namesOf(itemsPath));
  if (!Array.isArray(found)) {
    const problem = itemsPath === "" ? "is not an array" : `has no array at ${JSON.stringify(itemsPath)}`;
    throw pageInvalid(`The answer for page ${pages} ${problem}.`);
  }
  return found;
}

/** Older versions may have a path that could not be published now; it was split at its dots. */
function namesOf(path: string): readonly string[] {
  return (readPath(path) ?? readOldPath(path)).map(({ name }) => name);
}

function checkPath(path: string, field: Field): void {
  if (!field.isNew || readPath(path) !== undefined) {
    return;
  }
  field.error(
    "PAGINATION_INVALID",
    `${JSON.stringify(path)} is not a path. Write names with dots, as meta.next or meta['a.b'].`,
  );
}

/**
 * The target of the first link with the relation `next` (RFC 8288), if there is one. A link with an `anchor` belongs to another
 * resource (section 3.2), unless the anchor is the page itself.
 */
function nextLink({ headers, url }: HttpAnswer): string | undefined {
  // Headers are decoded as Latin-1, but URLs in them are UTF-8 in practice, as in a Location.
  const text = Buffer.from([headers["link"] ?? []].flat().join(", "), "latin1").toString("utf8");
  const links = parseLinks(text);
  // The next page is unknown then, and an execution that misses pages must not complete.
  if (links === undefined) {
    throw pageInvalid("The Link header of the answer is malformed (RFC 8288).");
  }
  const isOwn = (anchor: string | undefined) => anchor === undefined || URL.parse(anchor, url)?.href === url;
  return links.find((link) => hasRelation(link, "next") && isOwn(link.parameters.get("anchor")))?.target;
}

/** The URL without its fragment, which is never sent. */
function addressOf(url: string): string {
  const parsed = URL.parse(url);
  if (parsed === null) {
    return url;
  }
  parsed.hash = "";
  return parsed.href;
}

/** Refuses links to another origin: a server could make the node send its secret headers there. */
function resolveLink(link: string, request: LeafRequest, answer: HttpAnswer): string {
  const url = URL.parse(link, answer.url);
  if (url === null || url.origin !== URL.parse(request.url)?.origin) {
    throw pageInvalid("The link to the next page does not lead to the origin of the node's URL.");
  }
  return url.href;
}
