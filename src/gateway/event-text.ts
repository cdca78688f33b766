import {
  type DescField,
  type DescMessage,
  type DescOneof,
  getOption,
  type Message,
  ScalarType,
} from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { event_id, event_type } from "../gen/flowcall/v1/options_pb.ts";
import { writeJson } from "./json-writer.ts";

/** An event without a meaning: it shows that the stream goes on. */
export const comment = ":\n\n";

/** How the messages of a type are written as events: id and type come from where the options of its proto say. */
export class EventWriter {
  readonly #schema: DescMessage;
  readonly #id: DescField | undefined;
  readonly #type: DescOneof | undefined;

  /** Throws where what is to be the id is not a text. */
  constructor(schema: DescMessage) {
    this.#schema = schema;
    this.#id = schema.fields.find((field) => getOption(field, event_id));
    this.#type = schema.oneofs.find((oneof) => getOption(oneof, event_type));
    if (this.#id !== undefined && this.#id.scalar !== ScalarType.STRING) {
      throw new Error(`${this.#id.toString()} cannot be an event's id, since it is no text`);
    }
  }

  write(message: Message): string {
    const reflected = reflect(this.#schema, message);
    const type = this.#type && reflected.oneofCase(this.#type)?.name;
    const id = this.#id && String(reflected.get(this.#id));
    return eventText({ data: writeJson(this.#schema, message), ...(type && { type }), ...(id && { id }) });
  }
}

/** Writes an event (HTML Living Standard, 9.2.6). Each line of the data is a line of its own, and put together again. */
export function eventText({ type, id, data }: EventParts): string {
  if (id !== undefined && /[\0\r\n]/.test(id)) throw new Error("an event's id holds what would end it");
  const lines = data.split(/\r\n|\r|\n/).map((line) => `data: ${line}\n`);
  return `${type === undefined ? "" : `event: ${type}\n`}${id === undefined ? "" : `id: ${id}\n`}${lines.join("")}\n`;
}

type EventParts = { readonly type?: string; readonly id?: string; readonly data: string };
