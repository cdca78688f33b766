import { type DescField, type DescMessage, getOption, hasOption, type Message, ScalarType } from "@bufbuild/protobuf";
import { scalarZeroValue } from "@bufbuild/protobuf/reflect";
import { FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import type { RequestHeaders } from "../../domain/http/call.ts";
import { RequestError } from "../../domain/request-error.ts";
import { field as fieldRules } from "../../gen/buf/validate/validate_pb.ts";
import { type HeaderRule, header as headerOption } from "../../gen/flowcall/v1/options_pb.ts";
import { preferenceOf, unquoted } from "./preference.ts";
import { noneYet } from "./revision-etag.ts";

/**
 * Fills fields of a request message from headers, as the `(flowcall.v1.header)` option of each field says. The options are
 * read once for each type of message.
 *
 * A header that is sent twice is refused and never joined; it may be sent in both spellings with one value. A header that
 * differs from the field of a gRPC or Connect message is refused. An empty header counts as absent, unless it is quotable:
 * forms and no-code tools send one for each empty row. A preference that cannot be met is no error (RFC 7240, section 2):
 * one that is too large is met up to the maximum, and others are ignored.
 */
export class HeaderFields {
  readonly #fields: readonly HeaderField[];

  constructor(schema: DescMessage) {
    this.#fields = schema.fields.filter((field) => hasOption(field, headerOption)).map(headerField);
  }

  /** Throws RequestError. */
  fill(request: Message, headers: RequestHeaders): void {
    // A field is set under its name in the message: protobuf-es offers no other way that makes no object.
    const message = request as Message & Record<string, unknown>;
    for (const from of this.#fields) {
      const value = from.rule.preference === undefined ? readHeader(from, headers) : readPreference(from, headers);
      if (value === undefined) {
        continue;
      }
      const set = message[from.localName];
      if (set === undefined || set === from.zero) {
        message[from.localName] = value;
      } else if (set !== value) {
        throw refusal(from.field, "is set in the message and in a header, and the two disagree; send one of them");
      }
    }
  }

  /** Names the header of a field for people; undefined where it has none. */
  hint(fieldName: string): string | undefined {
    const [name, hyphened] = this.#fields.find(({ field }) => field.name === fieldName)?.names ?? [];
    return hyphened === undefined
      ? name
      : `${name} (some proxies drop header names with underscores: ${hyphened} works too)`;
  }
}

type FieldValue = string | boolean | number;

type HeaderField = {
  readonly field: DescField;
  readonly localName: string;
  readonly rule: HeaderRule;
  /** The spellings of the header: with underscores, and with hyphens. */
  readonly names: readonly string[];
  /** The value of the field where it is not set: an implicit field has one in each message. */
  readonly zero: unknown;
  /** The largest number that the field may hold by its validation rules. */
  readonly max: number;
};

function headerField(field: DescField): HeaderField {
  if (field.fieldKind !== "scalar" || field.oneof !== undefined) {
    throw new Error(`${field.toString()} cannot be filled from a header`);
  }
  const rule = getOption(field, headerOption);
  const hyphened = rule.name.replaceAll("_", "-");
  const names = hyphened === rule.name ? [rule.name] : [rule.name, hyphened];
  const zero = field.presence === FeatureSet_FieldPresence.IMPLICIT ? scalarZeroValue(field.scalar, false) : undefined;
  return { field, localName: field.localName, rule, names, zero, max: maxOf(field) };
}

function maxOf(field: DescField): number {
  const { type } = getOption(field, fieldRules);
  const bound = type.case === "int32" ? type.value.lessThan : undefined;
  return bound?.case === "lte" ? bound.value : Number.MAX_SAFE_INTEGER;
}

function readHeader(from: HeaderField, headers: RequestHeaders): FieldValue | undefined {
  const { field, rule, names } = from;
  let value: string | undefined;
  for (const name of names) {
    const values = headers.get(name);
    if (values === undefined) {
      continue;
    }
    if (values.length > 1) {
      // A list may be sent in several lines (RFC 9110, section 5.3).
      if (name === "if-match") {
        return parse(field, values.join(", "));
      }
      throw headerRefused(name, `was sent ${values.length} times; send it once`);
    }
    const [twin] = values;
    // An empty header is absent, so it does not contradict the other spelling.
    if (twin === "" && rule.isQuotable !== true) {
      continue;
    }
    if (value !== undefined && twin !== value) {
      throw headerRefused(rule.name, "was sent in two spellings whose values differ; send one of them");
    }
    value = twin;
  }
  if (rule.name === "if-match" && isForNone(headers)) {
    // The list can hold both, since only one of them can be true of a resource.
    return value === undefined ? noneYet : parse(field, `${noneYet}, ${value}`);
  }
  if (value === undefined || value === rule.absentValue) {
    return undefined;
  }
  return parse(field, rule.isQuotable === true && value.startsWith('"') ? withoutQuotes(field, value) : value);
}

function withoutQuotes(field: DescField, value: string): string {
  const text = unquoted(value);
  if (text === undefined) {
    throw refusal(field, `has to end with the quote that it begins with: ${quoted(value)}`);
  }
  return text;
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

/** The whole number of a preference, cut to the maximum of its field. */
function readPreference({ rule, max }: HeaderField, headers: RequestHeaders): FieldValue | undefined {
  const values = headers.get(rule.name);
  const text = values && preferenceOf(values, rule.preference ?? "");
  return text !== undefined && /^\d+$/.test(text) ? Math.min(Number(text), max) : undefined;
}

function parse(field: DescField, text: string): FieldValue {
  if (field.scalar === ScalarType.BOOL) {
    const lower = text.toLowerCase();
    if (lower !== "true" && lower !== "false") {
      throw refusal(field, `must be true or false, not ${quoted(text)}`);
    }
    return lower === "true";
  }
  if (field.scalar === ScalarType.INT32) {
    if (!/^-?\d{1,9}$/.test(text)) {
      throw refusal(field, `must be a whole number, not ${quoted(text)}`);
    }
    return Number(text);
  }
  if (/^[\x20-\x7e]*$/.test(text)) {
    return text;
  }
  // Node decodes header values as latin1, and callers send UTF-8.
  const decoded = Buffer.from(text, "latin1").toString("utf8");
  if (decoded.includes("\ufffd")) {
    throw refusal(field, "must be UTF-8 text");
  }
  return decoded;
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
}

function headerRefused(name: string, problem: string): RequestError {
  return new RequestError("VALIDATION_ERROR", `The header ${name} ${problem}.`, { metadata: { header: name } });
}

function refusal(field: DescField, description: string): RequestError {
  return new RequestError("VALIDATION_ERROR", `${field.name} ${description}.`, {
    violations: [{ field: field.name, description }],
  });
}
