import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { isObject } from "../../domain/json/violations.ts";
import type { NeedList } from "./needs.ts";
import { type NodeText, writtenPiece } from "./node-text.ts";
import { isEmpty, objectsOf, plainOf, textOf } from "./source-value.ts";
import type { SourceNode } from "./source-workflow.ts";
import { endsInString, piecesOf } from "./text-pieces.ts";

const methods: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
const secretHeader = /^(?:authorization|proxy-authorization|cookie|.*(?:api[-_]?key|token|secret|password).*)$/i;
/** A URL has at most 16,384 characters, of which its base has a half. */
const urlPartMax = 8_000;
const queryMax = 200;
const headersMax = 100;

/** A request, of the node for plain HTTP or by an application, whose credentials it then had. */
export function importHttp({ type, input }: SourceNode, text: NodeText, needs: NeedList): JsonObject {
  const url = urlOf(type, input, text);
  if (type !== "httpinternal") {
    const message = `The request had the credentials of the account's connection to ${type}. Set its headers.`;
    text.issues.warn("CONNECTION_NEEDED", message, text.place("input_data"));
    const baseUrl = textOf(input["base_url"]).trim();
    needs.call({ slug: type, nodeId: text.nodeId, parameters: [], ...(baseUrl !== "" && { baseUrl }) });
  }
  if (!isEmpty(input["pagination"])) {
    const message = "Pages are not imported: the node asks for the first one. Set its pagination.";
    text.issues.warn(
      "PAGINATION_NOT_IMPORTED",
      message,
      text.place("input_data.pagination", textOf(input["pagination"])),
    );
  }
  const query = pairsOf(input, text);
  const headers = headersOf(input, text);
  return {
    method: methodOf(input, text),
    url,
    ...(query.length > 0 && { query }),
    ...(headers.length > 0 && { headers }),
    ...bodyOf(input, text),
  };
}

function methodOf(input: JsonObject, text: NodeText): string {
  const method = textOf(input["method"]).trim().toUpperCase();
  if (methods.has(method)) {
    return method;
  }
  if (method !== "") {
    text.issues.warn(
      "METHOD_UNKNOWN",
      "The method is not known; it is GET now.",
      text.place("input_data.method", method),
    );
  }
  return "GET";
}

function urlOf(type: string, input: JsonObject, text: NodeText): string {
  const part = (name: string) => {
    const written = text.of(input[name], `input_data.${name}`).trim();
    if (written.length > urlPartMax) {
      text.issues.warn("TEXT_SHORTENED", "The URL is too long and is cut.", text.place(`input_data.${name}`));
    }
    return written.slice(0, urlPartMax).toWellFormed();
  };
  const [base, path, whole] = [part("base_url"), part("url_path"), part("url")];
  if (base === "" && /^(?:https?:|\{\{)/i.test(whole === "" ? path : whole)) {
    return whole === "" ? path : whole;
  }
  const rest = path === "" ? whole : path;
  if (base !== "") {
    return joined(base, rest);
  }
  const name = `${type} base URL`;
  const message = `The URL is relative to that of ${type}, which is not in the export. Set the field ${JSON.stringify(name)}.`;
  text.issues.warn("BASE_URL_NEEDED", message, text.place("input_data.base_url"));
  return joined(`{{${text.references.addField(name)}}}`, rest);
}

function joined(base: string, path: string): string {
  if (path === "" || path.startsWith("?")) {
    return base + path;
  }
  return `${base.replace(/\/+$/, "")}/${path.replace(/^\/+/, "")}`;
}

/** The parameters of the query: those that are set one by one, or else those of the whole query. */
function pairsOf(input: JsonObject, text: NodeText): JsonObject[] {
  const field = isEmpty(input["query_params"]) ? "query_string" : "query_params";
  const value = input[field];
  const members = membersOf(value);
  if (members === undefined && !isEmpty(value)) {
    const pairs = textOf(value)
      .replace(/^\?/, "")
      .split("&")
      .filter((pair) => pair !== "")
      .slice(0, queryMax + 1);
    return limited(pairs.map(pairOf), { field, max: queryMax }, text);
  }
  return limited(members ?? [], { field, max: queryMax }, text);
}

function pairOf(pair: string): Member {
  const [key = "", ...rest] = pair.split("=");
  return { key: decoded(key), value: decoded(rest.join("=")) };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part.replaceAll("+", " "));
  } catch {
    return part;
  }
}

function headersOf(input: JsonObject, text: NodeText): JsonObject[] {
  const members = membersOf(input["headers"]);
  if (members === undefined && !isEmpty(input["headers"])) {
    const original = textOf(input["headers"]);
    text.issues.warn(
      "VALUE_UNREADABLE",
      "The headers are no JSON object; they are left out.",
      text.place("input_data.headers", original),
    );
  }
  const safe = (members ?? []).map((member) => {
    const isLiteral = !textOf(member.value).includes("{{");
    if (!secretHeader.test(member.key) || isEmpty(member.value) || !isLiteral) {
      return member;
    }
    const name = `${member.key} of node ${text.nodeId}`;
    const message = `The header ${member.key} had a secret in it, which is not kept. Set the field ${JSON.stringify(name)}.`;
    text.issues.warn("SECRET_IN_DEFINITION", message, text.place("input_data.headers"));
    return { key: member.key, value: `{{${text.references.addField(name)}}}` };
  });
  return limited(safe, { field: "headers", max: headersMax }, text);
}

type Member = { readonly key: string; readonly value: JsonValue };

/** The members of an object, of JSON text of one, or of a list of keys and values; undefined where it is none of these. */
function membersOf(value: JsonValue | undefined): readonly Member[] | undefined {
  const plain = plainOf(value ?? null);
  if (Array.isArray(plain)) {
    return objectsOf(plain).map(({ key, name, value: own }) => ({ key: textOf(key ?? name), value: own ?? "" }));
  }
  if (isObject(plain)) {
    return Object.entries(plain).map(([key, own]) => ({ key, value: own }));
  }
  const parsed = typeof plain === "string" && /^\s*[{[]/.test(plain) ? parsedObject(plain) : undefined;
  return parsed === undefined ? undefined : membersOf(parsed);
}

/** JSON text. A template outside of a string becomes one that is the whole of a string, which has the same value. */
function parsedObject(text: string): JsonValue | undefined {
  let isInString = false;
  const parts = piecesOf(text).pieces.map((piece) => {
    if (piece.kind === "template") {
      return isInString ? writtenPiece(piece) : `"${writtenPiece(piece)}"`;
    }
    isInString = endsInString(piece.text, isInString);
    return piece.text;
  });
  try {
    return JSON.parse(parts.join(""));
  } catch {
    return undefined;
  }
}

function limited(
  members: readonly Member[],
  { field, max }: { readonly field: string; readonly max: number },
  text: NodeText,
): JsonObject[] {
  const place = `input_data.${field}`;
  const kept = members.filter(({ key, value }) => key !== "" && key.length <= 256 && !isEmpty(value));
  if (kept.length > max) {
    const message = `At most ${max} can be sent; the others are left out.`;
    text.issues.warn("PARAMETER_DROPPED", message, text.place(place));
  }
  return kept.slice(0, max).map(({ key, value }) => ({ key, value: text.of(value, `${place}.${key}`) }));
}

function bodyOf(input: JsonObject, text: NodeText): JsonObject {
  const { body } = input;
  if (isEmpty(body)) {
    return {};
  }
  const type = textOf(input["body_type"]).toLowerCase();
  if (type.includes("urlencoded") || type.includes("form")) {
    const members = membersOf(body);
    if (members !== undefined) {
      const fields = limited(members, { field: "body", max: queryMax }, text);
      return type.includes("urlencoded")
        ? { form: { fields } }
        : { multipart: { parts: fields.map(({ key, value }) => ({ name: key ?? "", value: value ?? "" })) } };
    }
  }
  const json = /html|xml|text/.test(type) ? undefined : text.json(body, "input_data.body");
  return json === undefined ? { text: text.of(body, "input_data.body") } : { json };
}
