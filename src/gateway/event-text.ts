import {
  type DescField,
  type DescMessage,
  type DescOneof,
  getOption,
  type Message,
  ScalarType,
} from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { writeJson } from "../domain/json/json-writer.ts";
import { event_id, event_type } from "../gen/flowcall/v1/options_pb.ts";

/** A heartbeat: a comment, which readers of events ignore. */
export const heartbeat = ":\n\n";

/** Writes the messages of one type as events. The options of its proto say which fields give the event's id and type. */
export class EventWriter {
  readonly #schema: DescMessage;
  readonly #id: DescField | undefined;
  readonly #type: DescOneof | undefined;

  /** Throws where the field for the id is not a string. */
  constructor(schema: DescMessage) {
    this.#schema = schema;
    this.#id = schema.fields.find((field) => getOption(field, event_id));
    this.#type = schema.oneofs.find((oneof) => getOption(oneof, event_type));
    if (this.#id !== undefined && this.#id.scalar !== ScalarType.STRING) {
      throw new Error(`${this.#id.toString()} cannot be the id of an event, since it is not a string`);
    }
  }

  write(message: Message): string {
    const reflected = reflect(this.#schema, message);
    const type = this.#type && reflected.oneofCase(this.#type)?.name;
    const id = this.#id && String(reflected.get(this.#id));
    return eventText({ data: writeJson(this.#schema, message), ...(type && { type }), ...(id && { id }) });
  }
}

/** Writes an event (HTML Living Standard, section 9.2.6). Readers join the lines of the data again. */
export function eventText({ type, id, data }: EventParts): string {
  if (id !== undefined && /[\0\r\n]/.test(id)) {
    throw new Error("the id of an event holds a character that would end it");
  }
  const lines = data.split(/\r\n|\r|\n/).map((line) => `data: ${line}\n`);
  return `${type === undefined ? "" : `event: ${type}\n`}${id === undefined ? "" : `id: ${id}\n`}${lines.join("")}\n`;
}

type EventParts = { readonly type?: string; readonly id?: string; readonly data: string };
