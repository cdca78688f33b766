import { type DescField, type DescMessage, getOption, hasOption, type Message, ScalarType } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import type { RequestHeaders } from "../domain/call.ts";
import { RequestError } from "../domain/request-error.ts";
import { type HeaderRule, header as headerOption } from "../gen/flowcall/v1/options_pb.ts";
import { preferenceOf, unquoted } from "./preference.ts";

/**
 * Fills the fields that a request message takes from headers, as the `(flowcall.v1.header)` option of each says.
 *
 * A header given twice, or in both of its spellings, is refused and never joined; so is a header that disagrees with
 * the field that a gRPC or Connect caller set. An empty header of a text field counts as absent, unless it is quotable.
 */
export function fieldsFromHeaders(schema: DescMessage, request: Message, headers: RequestHeaders): void {
  for (const field of schema.fields) {
    if (!hasOption(field, headerOption)) continue;
    const rule = getOption(field, headerOption);
    const text = headerText(field, rule, headers);
    if (text === undefined || (text === "" && isText(field) && rule.isQuotable !== true)) continue;
    const value = parse(field, text);
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

function headerText(field: DescField, rule: HeaderRule, headers: RequestHeaders): string | undefined {
  if (rule.preference !== undefined) return preferenceOf(headers.get(rule.name) ?? [], rule.preference);
  const value = headerValue(rule, headers);
  if (rule.isQuotable !== true || !value?.startsWith('"')) return value;
  const text = unquoted(value);
  if (text === undefined) throw refusal(field, `has a quote that does not close: ${quoted(value)}`);
  return text;
}

function headerValue(rule: HeaderRule, headers: RequestHeaders): string | undefined {
  const values = spellings(rule).flatMap((name) => headers.get(name) ?? []);
  if (values.length > 1) {
    throw new RequestError(
      "VALIDATION_ERROR",
      `The header ${rule.name} was sent ${values.length} times; send it once.`,
      {
        metadata: { header: rule.name },
      },
    );
  }
  return values[0] === rule.absentValue ? undefined : values[0];
}

function spellings(rule: HeaderRule): readonly string[] {
  const hyphened = rule.name.replaceAll("_", "-");
  return hyphened === rule.name ? [rule.name] : [rule.name, hyphened];
}

function isText(field: DescField): boolean {
  return field.fieldKind === "scalar" && field.scalar === ScalarType.STRING;
}

function parse(field: DescField, text: string): string | boolean | number {
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
