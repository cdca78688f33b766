import { type DescField, type DescMessage, getOption, hasOption, type Message, ScalarType } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import type { RequestHeaders } from "../../domain/http/call.ts";
import { RequestError } from "../../domain/request-error.ts";
import { field as fieldRules } from "../../gen/buf/validate/validate_pb.ts";
import { type HeaderRule, header as headerOption } from "../../gen/flowcall/v1/options_pb.ts";
import { preferenceOf, unquoted } from "./preference.ts";
import { noneYet } from "./revision-etag.ts";

/**
 * Fills fields of a request message from headers, as the `(flowcall.v1.header)` option of each field says.
 *
 * A header that is sent twice is refused and never joined; it may be sent in both spellings with one value. A header that
 * differs from the field of a gRPC or Connect message is refused. An empty header counts as absent, unless it is quotable:
 * forms and no-code tools send one for each empty row. A preference that cannot be met is no error (RFC 7240, section 2):
 * one that is too large is met up to the maximum, and others are ignored.
 */
export function fieldsFromHeaders(schema: DescMessage, request: Message, headers: RequestHeaders): void {
  for (const from of fieldsOf(schema)) {
    const { field, rule } = from;
    const value = rule.preference === undefined ? headerField(from, headers) : preferredField(from, headers);
    if (value === undefined) {
      continue;
    }
    const message = reflect(schema, request);
    if (message.isSet(field)) {
      if (message.get(field) !== value) {
        throw refusal(field, "is set in the message and in a header, and the two disagree; send one of them");
      }
    } else {
      message.set(field, value);
    }
  }
}

/** Names the header of a field for people; undefined where it has none. */
export function headerHint(schema: DescMessage, fieldName: string): string | undefined {
  const field = schema.fields.find((candidate) => candidate.name === fieldName);
  if (field === undefined || !hasOption(field, headerOption)) {
    return undefined;
  }
  const [name = "", hyphened] = spellings(getOption(field, headerOption));
  return hyphened === undefined
    ? name
    : `${name} (some proxies drop header names with underscores: ${hyphened} works too)`;
}

type FieldValue = string | boolean | number;

type HeaderField = {
  readonly field: DescField;
  readonly rule: HeaderRule;
  /** The spellings of the header: with underscores, and with hyphens. */
  readonly names: readonly string[];
  /** The largest number that the field may hold by its validation rules. */
  readonly max: number;
};

const fieldsBySchema = new WeakMap<DescMessage, readonly HeaderField[]>();

/** The fields of a message that come from headers. They are cached, since each reading of an option parses it. */
function fieldsOf(schema: DescMessage): readonly HeaderField[] {
  const known = fieldsBySchema.get(schema);
  if (known !== undefined) {
    return known;
  }
  const fields = schema.fields
    .filter((field) => hasOption(field, headerOption))
    .map((field) => {
      const rule = getOption(field, headerOption);
      return { field, rule, names: spellings(rule), max: maxOf(field) };
    });
  fieldsBySchema.set(schema, fields);
  return fields;
}

function headerField(from: HeaderField, headers: RequestHeaders): FieldValue | undefined {
  const text = headerText(from, headers);
  return text === undefined ? undefined : parse(from.field, text);
}

function headerText(from: HeaderField, headers: RequestHeaders): string | undefined {
  const { field, rule } = from;
  const value = headerValue(from, headers);
  if (rule.isQuotable !== true || !value?.startsWith('"')) {
    return value;
  }
  const text = unquoted(value);
  if (text === undefined) {
    throw refusal(field, `has to end with the quote that it begins with: ${quoted(value)}`);
  }
  return text;
}

function headerValue({ rule, names }: HeaderField, headers: RequestHeaders): string | undefined {
  let value: string | undefined;
  for (const name of names) {
    const values = headers.get(name);
    if (values === undefined) {
      continue;
    }
    // A list may be sent in several lines (RFC 9110, section 5.3).
    if (name === "if-match" && values.length > 1) {
      return values.join(", ");
    }
    if (values.length > 1) {
      throw headerRefused(name, `was sent ${values.length} times; send it once`);
    }
    const [twin] = values;
    // An empty header is absent, so it does not contradict the other spelling.
    if (twin === "" && rule.isQuotable !== true) {
      continue;
    }
    if (value !== undefined && twin !== value) {
      throw headerRefused(rule.name, `was sent in two spellings whose values differ; send one of them`);
    }
    value = twin;
  }
  const isConditional = rule.name === "if-match";
  if (isConditional && isForNone(headers)) {
    // The list can hold both, since only one of them can be true of a resource.
    return value === undefined ? noneYet : `${noneYet}, ${value}`;
  }
  return value === rule.absentValue ? undefined : value;
}

/**
 * `If-None-Match: *` (RFC 9110, section 13.1.2): whether a write may only create. A list of entity tags is refused, since no
 * store supports a change on condition that the state is none of them.
 */
function isForNone(headers: RequestHeaders): boolean {
  const text = headers.get("if-none-match")?.join().trim() ?? "";
  if (text !== "" && text !== "*") {
    throw headerRefused(
      "if-none-match",
      "names states; a change takes * alone, or the state that you have read as If-Match",
    );
  }
  return text === "*";
}

function headerRefused(name: string, problem: string): RequestError {
  return new RequestError("VALIDATION_ERROR", `The header ${name} ${problem}.`, { metadata: { header: name } });
}

/** The whole number of a preference, cut to the maximum of its field. */
function preferredField({ rule, max }: HeaderField, headers: RequestHeaders): FieldValue | undefined {
  const text = preferenceOf(headers.get(rule.name) ?? [], rule.preference ?? "");
  if (text === undefined || !/^\d+$/.test(text)) {
    return undefined;
  }
  return Math.min(Number(text), max);
}

function maxOf(field: DescField): number {
  const { type } = getOption(field, fieldRules);
  if (type.case !== "int32" || type.value.lessThan.case !== "lte") {
    return Number.MAX_SAFE_INTEGER;
  }
  return type.value.lessThan.value;
}

function spellings(rule: HeaderRule): readonly string[] {
  const hyphened = rule.name.replaceAll("_", "-");
  return hyphened === rule.name ? [rule.name] : [rule.name, hyphened];
}

function parse(field: DescField, text: string): FieldValue {
  const scalar = field.fieldKind === "scalar" ? field.scalar : undefined;
  if (scalar === ScalarType.BOOL) {
    const lower = text.toLowerCase();
    if (lower !== "true" && lower !== "false") {
      throw refusal(field, `must be true or false, not ${quoted(text)}`);
    }
    return lower === "true";
  }
  if (scalar === ScalarType.INT32) {
    if (!/^-?\d{1,9}$/.test(text)) {
      throw refusal(field, `must be a whole number, not ${quoted(text)}`);
    }
    return Number(text);
  }
  // Node decodes header values as latin1, and callers send UTF-8.
  const decoded = new TextDecoder("utf-8", { ignoreBOM: true }).decode(Buffer.from(text, "latin1"));
  if (decoded.includes("\ufffd")) {
    throw refusal(field, "must be UTF-8 text");
  }
  return decoded;
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
}

function refusal(field: DescField, description: string): RequestError {
  return new RequestError("VALIDATION_ERROR", `${field.name} ${description}.`, {
    violations: [{ field: field.name, description }],
  });
}
