import { isUtf8 } from "node:buffer";
import { type DescField, type DescMessage, type JsonValue, ScalarType } from "@bufbuild/protobuf";
import { WireType } from "@bufbuild/protobuf/wire";
import { notUtf8Problem, nulProblem } from "../../../domain/json/json-problems.ts";
import { faultRefused, invalidJson, jsonPath, limitPassed } from "../../../domain/json/json-refusal.ts";
import { isStructField } from "../../../domain/json/json-structs.ts";
import { JsonVerdict } from "../../../domain/json/json-verdict.ts";
import { isObject } from "../../../domain/json/violations.ts";
import type { JsonLimits } from "../../../domain/limits.ts";
import { type Span, WireCursor } from "./wire-cursor.ts";
import { Frame, type MapField, type Part, type StructSpan } from "./wire-frame.ts";
import { isPackable, jsonKinds, scalarOf, wireTypes } from "./wire-types.ts";

/**
 * Scans a binary message before it is decoded, with the verdict that its JSON form would get, in one pass and without
 * recursion. A message that passes can be decoded.
 *
 * `bytesMax` bounds the whole message; `depthMax` and `valuesMax` apply to each google.protobuf.Struct, ListValue or Value
 * that is not inside another, and `keysMax` to each map. All that has no JSON form is refused: a field, a oneof or a map's
 * key that is given twice, a Value without a kind, a number that a double cannot hold, text that is not UTF-8 or holds NUL.
 * Unknown fields are skipped.
 *
 * Answers the objects of the Structs that stand in a field of a message as they are, in the order of the bytes.
 *
 * Throws RequestError: PAYLOAD_TOO_LARGE, PAYLOAD_TOO_DEEP, INVALID_JSON with the path; VALIDATION_ERROR with the
 * offset for what is not protobuf.
 */
export function scanWire(bytes: Uint8Array, desc: DescMessage, limits: JsonLimits): readonly StructSpan[] {
  return new WireScanner(bytes, limits).scan(desc);
}

/** The nesting of messages and groups that protobuf-es decodes. */
const messagesMax = 100;

type Steps = readonly (string | number)[];

const noSteps: Steps = [];

/** The value that is read next: its field, its wire type, and the steps that lead to it. */
type Slot = { readonly field: DescField; readonly wireType: WireType; readonly steps: Steps };

class WireScanner {
  readonly #cursor: WireCursor;
  readonly #length: number;
  readonly #limits: JsonLimits;
  readonly #frames: Frame[] = [];
  /** The frames that count for `messagesMax`: all but the entries of maps. */
  #messages = 0;
  /** Judges the JSON value that is being read; each root has one of its own. */
  #verdict: JsonVerdict;
  /** Leads from the innermost frame to what is judged. */
  #steps: Steps = noSteps;
  readonly #structs: StructSpan[] = [];
  /** Where the content of the JSON value begins that is being read. */
  #rootStart = 0;

  constructor(bytes: Uint8Array, limits: JsonLimits) {
    this.#cursor = new WireCursor(bytes);
    this.#length = bytes.length;
    this.#limits = limits;
    this.#verdict = this.#newVerdict();
  }

  #newVerdict(): JsonVerdict {
    return new JsonVerdict(this.#limits, (fault) => {
      throw faultRefused(this.#place(this.#steps), fault);
    });
  }

  scan(desc: DescMessage): readonly StructSpan[] {
    this.#verdict.bytes(this.#length);
    this.#enter(desc, this.#length, { steps: noSteps });
    for (let frame = this.#frames.at(-1); frame !== undefined; frame = this.#frames.at(-1)) {
      if (this.#cursor.offset < frame.end) {
        this.#record(frame);
      } else {
        this.#leave(frame);
      }
    }
    return this.#structs;
  }

  /** Reads one tag and its value. */
  #record(frame: Frame): void {
    const { shape } = frame;
    const tag = this.#cursor.tag(frame.end);
    const number = tag >>> 3;
    const wireType: WireType = tag & 7;
    const field = shape.kind === "message" ? shape.fields.find((known) => known.number === number) : undefined;
    if (field !== undefined) {
      this.#field(frame, field, wireType);
    } else if (shape.kind === "field" && number === 1) {
      this.#key(frame, shape, wireType);
    } else if (shape.kind === "field" && number === 2) {
      this.#giveOnce(frame, "value", noSteps);
      this.#value(frame, { field: shape, wireType, steps: noSteps });
    } else {
      this.#unknown(frame, number, wireType);
    }
  }

  #field(frame: Frame, field: DescField, wireType: WireType): void {
    // The fields of Struct, ListValue and Value have no names in JSON.
    const steps = frame.json === undefined ? [field.name] : noSteps;
    if (field.fieldKind === "map") {
      this.#expect(WireType.LengthDelimited, wireType);
      const end = this.#cursor.lengthEnd(frame.end);
      const { json, isKept, depth } = frame;
      this.#frames.push(new Frame({ shape: field, end, json, isKept, depth, steps }));
      return;
    }
    if (field.fieldKind === "list") {
      if (wireType === WireType.LengthDelimited && isPackable(field)) {
        this.#packed(frame, field);
        return;
      }
      this.#value(frame, { field, wireType, steps: [...steps, frame.nextIndex(field)] });
    } else {
      this.#giveOnce(frame, field.oneof ?? field, steps);
      this.#value(frame, { field, wireType, steps });
    }
  }

  #value(frame: Frame, { field, wireType, steps }: Slot): void {
    if (field.message !== undefined) {
      this.#expect(WireType.LengthDelimited, wireType);
      this.#enter(field.message, this.#cursor.lengthEnd(frame.end), { field, steps });
      return;
    }
    const scalar = scalarOf(field);
    this.#expect(wireTypes[scalar], wireType);
    if (scalar === ScalarType.STRING) {
      const span = this.#text(frame, steps);
      if (frame.isKept) {
        frame.put(this.#cursor.textOf(span), "");
      }
    } else if (scalar === ScalarType.DOUBLE && frame.json !== undefined) {
      const value = this.#cursor.double(frame.end);
      frame.put(value, "");
      // A number is spelt for its refusal, so most are not handed on.
      if (!(Math.abs(value) <= Number.MAX_SAFE_INTEGER)) {
        this.#steps = steps;
        this.#verdict.number(value);
      }
    } else if (frame.isKept) {
      const value = this.#cursor.varint(frame.end);
      frame.put(scalar === ScalarType.BOOL ? value !== 0 : null, "");
    } else {
      this.#cursor.skip(wireType, frame.end);
    }
  }

  #packed(frame: Frame, field: DescField): void {
    const end = this.#cursor.lengthEnd(frame.end);
    while (this.#cursor.offset < end) {
      this.#cursor.skip(wireTypes[scalarOf(field)], end);
    }
  }

  #key(entry: Frame, map: MapField, wireType: WireType): void {
    this.#expect(wireTypes[map.mapKey], wireType);
    this.#giveOnce(entry, "key", noSteps);
    if (map.mapKey === ScalarType.STRING) {
      this.#addKey(entry, map, this.#cursor.textOf(this.#text(entry, noSteps)));
    } else {
      const start = this.#cursor.offset;
      this.#cursor.skip(wireType, entry.end);
      this.#addKey(entry, map, this.#cursor.bytesOf({ start, end: this.#cursor.offset }).toString("hex"));
    }
  }

  #addKey(entry: Frame, map: MapField, key: string): void {
    entry.key = key;
    entry.steps = [...entry.steps, key];
    const keys = this.#frames.at(-2)?.keysOf(map) ?? new Set();
    this.#steps = noSteps;
    if (keys.has(key)) {
      this.#verdict.nameTwice();
    }
    keys.add(key);
    this.#verdict.members(keys.size);
  }

  #text(frame: Frame, steps: Steps): Span {
    const span = this.#cursor.span(frame.end);
    if (!this.#cursor.isPlain(span)) {
      const bytes = this.#cursor.bytesOf(span);
      if (!isUtf8(bytes)) {
        throw invalidJson(this.#place(steps), notUtf8Problem);
      }
      if (bytes.includes(0)) {
        throw invalidJson(this.#place(steps), nulProblem);
      }
    }
    return span;
  }

  #unknown(frame: Frame, number: number, wireType: WireType): void {
    if (wireType === WireType.StartGroup) {
      this.#push(
        new Frame({
          shape: { kind: "group", number },
          end: frame.end,
          json: undefined,
          isKept: false,
          depth: 0,
          steps: noSteps,
        }),
      );
    } else if (wireType === WireType.EndGroup) {
      if (frame.shape.kind !== "group" || frame.shape.number !== number) {
        this.#cursor.refuse("ends a group that is not open");
      }
      this.#pop();
    } else {
      this.#cursor.skip(wireType, frame.end);
    }
  }

  #enter(message: DescMessage, end: number, { field, steps }: Pick<Slot, "steps"> & Partial<Slot>): void {
    const around = this.#frames.at(-1);
    const json = jsonKinds.get(message.typeName);
    const isRoot = json !== undefined && around?.json === undefined;
    const depth = (isRoot ? 0 : (around?.depth ?? 0)) + (json === "struct" || json === "list" ? 1 : 0);
    const isKept = isRoot ? field !== undefined && isStructField(field) : around?.isKept === true;
    this.#push(new Frame({ shape: message, end, json, isKept, depth, steps }));
    this.#steps = noSteps;
    if (isRoot) {
      this.#verdict = this.#newVerdict();
      this.#rootStart = this.#cursor.offset;
    }
    // A container inside a Value is one value together with it.
    if (isRoot || json === "value") {
      this.#verdict.value();
    }
    this.#verdict.depth(depth);
  }

  #leave(frame: Frame): void {
    const { shape } = frame;
    if (shape.kind === "group") {
      this.#cursor.refuse("ends inside a group");
    }
    if (shape.kind === "field" && !frame.has("key")) {
      this.#addKey(frame, shape, "");
    }
    const isValueMissing = shape.kind === "field" && frame.json !== undefined && !frame.has("value");
    if (isValueMissing || (shape.kind === "message" && frame.json === "value" && frame.isEmpty)) {
      throw invalidJson(this.#place(noSteps), "holds a Value without a kind; set one, for null too");
    }
    this.#pop();
    if (frame.isKept && frame.content !== undefined) {
      this.#keep(frame, frame.content);
    }
  }

  /** Gives the value that a frame has become to the one around it. */
  #keep({ key, end }: Frame, content: JsonValue): void {
    const around = this.#frames.at(-1);
    if (around?.isKept === true) {
      around.put(content, key);
    } else if (isObject(content)) {
      this.#structs.push({ start: this.#rootStart, end, object: content });
    }
  }

  #push(frame: Frame): void {
    this.#frames.push(frame);
    this.#messages += 1;
    if (this.#messages > messagesMax) {
      throw limitPassed(this.#place(noSteps), { limit: "depthMax", max: messagesMax, value: this.#messages });
    }
  }

  #pop(): void {
    if (this.#frames.pop()?.shape.kind !== "field") {
      this.#messages -= 1;
    }
  }

  #giveOnce(frame: Frame, part: Part, steps: Steps): void {
    if (frame.has(part)) {
      this.#steps = steps;
      this.#verdict.nameTwice();
    }
    frame.give(part);
  }

  #expect(expected: WireType, wireType: WireType): void {
    if (expected !== wireType) {
      this.#cursor.refuse("holds a field in another wire type than the field's own");
    }
  }

  #place(steps: Steps): { readonly path: string } {
    return { path: jsonPath("", [...this.#frames.flatMap((frame) => frame.steps), ...steps]) };
  }
}
