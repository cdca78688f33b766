import { type DescField, type DescMessage, getOption, hasOption, type Message, ScalarType } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import type { RequestHeaders } from "../../domain/http/call.ts";
import { RequestError } from "../../domain/request-error.ts";
import { field as fieldRules } from "../../gen/buf/validate/validate_pb.ts";
import { type HeaderRule, header as headerOption } from "../../gen/flowcall/v1/options_pb.ts";
import { preferenceOf, unquoted } from "./preference.ts";
import { noneYet } from "./revision-etag.ts";

/**
 * Fills the fields that a request message takes from headers, as the `(flowcall.v1.header)` option of each says.
 *
 * A header given twice is refused and never joined; in both of its spellings it counts once where the values are equal.
 * A header that disagrees with the field that a gRPC or Connect caller set is refused. An empty header counts as absent,
 * unless it is quotable: forms and no-code callers send one for each row that nobody filled in. A preference that cannot
 * be met is no error (RFC 7240, section 2): one that is too large is met as far as it can be, others are ignored.
 */
export function fieldsFromHeaders(schema: DescMessage, request: Message, headers: RequestHeaders): void {
  for (const from of fieldsOf(schema)) {
    const { field, rule } = from;
    const value = rule.preference === undefined ? headerField(from, headers) : preferredField(from, headers);
    if (value === undefined) continue;
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

/** How a person is told which header fills a field; undefined where none does. */
export function headerHint(schema: DescMessage, fieldName: string): string | undefined {
  const field = schema.fields.find((candidate) => candidate.name === fieldName);
  if (field === undefined || !hasOption(field, headerOption)) return undefined;
  const [name = "", hyphened] = spellings(getOption(field, headerOption));
  return hyphened === undefined
    ? name
    : `${name} (some proxies drop header names with underscores: ${hyphened} works too)`;
}

type FieldValue = string | boolean | number;

type HeaderField = {
  readonly field: DescField;
  readonly rule: HeaderRule;
  /** What the header is called in all its spellings. */
  readonly names: readonly string[];
  /** The largest number that the field may hold, where its rules say so. */
  readonly max: number;
};

const fieldsBySchema = new WeakMap<DescMessage, readonly HeaderField[]>();

/** The fields of a message that come from headers. Read once: an option is parsed each time that it is asked for. */
function fieldsOf(schema: DescMessage): readonly HeaderField[] {
  const known = fieldsBySchema.get(schema);
  if (known !== undefined) return known;
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
  if (rule.isQuotable !== true || !value?.startsWith('"')) return value;
  const text = unquoted(value);
  if (text === undefined) throw refusal(field, `has to end with the quote that it begins with: ${quoted(value)}`);
  return text;
}

function headerValue({ rule, names }: HeaderField, headers: RequestHeaders): string | undefined {
  let value: string | undefined;
  for (const name of names) {
    const values = headers.get(name);
    if (values === undefined) continue;
    // A list may come in several lines.
    if (name === "if-match" && values.length > 1) return values.join(", ");
    if (values.length > 1) throw headerRefused(name, `was sent ${values.length} times; send it once`);
    const [twin] = values;
    // An empty one is absent, and so says nothing against the other.
    if (twin === "" && rule.isQuotable !== true) continue;
    if (value !== undefined && twin !== value) {
      throw headerRefused(rule.name, `was sent in two spellings whose values differ; send one of them`);
    }
    value = twin;
  }
  const isConditional = rule.name === "if-match";
  if (isConditional && isForNone(headers)) {
    // Both can hold at no time: what exists matches, or there is nothing yet.
    return value === undefined ? noneYet : `${noneYet}, ${value}`;
  }
  return value === rule.absentValue ? undefined : value;
}

/**
 * Whether a write may change nothing that exists (RFC 9110, section 13.1.2). One that names states which it may not change
 * is refused, since a change may not be made where one of them is there, and no store asks for that.
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

/** The whole number that a preference asks for, at most what its field may hold. */
function preferredField({ rule, max }: HeaderField, headers: RequestHeaders): FieldValue | undefined {
  const text = preferenceOf(headers.get(rule.name) ?? [], rule.preference ?? "");
  if (text === undefined || !/^\d+$/.test(text)) return undefined;
  return Math.min(Number(text), max);
}

function maxOf(field: DescField): number {
  const { type } = getOption(field, fieldRules);
  if (type.case !== "int32" || type.value.lessThan.case !== "lte") return Number.MAX_SAFE_INTEGER;
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
    if (lower !== "true" && lower !== "false") throw refusal(field, `must be true or false, not ${quoted(text)}`);
    return lower === "true";
  }
  if (scalar === ScalarType.INT32) {
    if (!/^-?\d{1,9}$/.test(text)) throw refusal(field, `must be a whole number, not ${quoted(text)}`);
    return Number(text);
  }
  // Header values reach us byte by byte; people's names in them are UTF-8.
  const decoded = new TextDecoder("utf-8", { ignoreBOM: true }).decode(Buffer.from(text, "latin1"));
  if (decoded.includes("\ufffd")) throw refusal(field, "must be UTF-8 text");
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
