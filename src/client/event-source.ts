import { FlowcallError } from "./flowcall-error.ts";
import type { ExecutionEvent } from "./types.ts";

/** Reads server-sent events (HTML Living Standard, section 9.2.6) as Flowcall writes them. Throws FlowcallError for an `error`. */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ExecutionEvent> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of body) {
    const parts = `${rest}${decoder.decode(chunk, { stream: true })}`.split("\n\n");
    rest = parts.pop() ?? "";
    for (const part of parts) {
      const event = eventOf(part);
      if (event !== undefined) {
        yield event;
      }
    }
  }
}

/** Undefined for a comment, by which the server shows that it is there. */
function eventOf(text: string): ExecutionEvent | undefined {
  const lines = text.split("\n");
  const values = (name: string) =>
    lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2));
  const [type] = values("event");
  const data = values("data").join("\n");
  if (data === "") {
    return undefined;
  }
  const message = JSON.parse(data);
  if (type === "error") {
    throw new FlowcallError(message.status_code ?? 0, message);
  }
  // The server names what an event holds by its type.
  return { ...message, type } as ExecutionEvent;
}
