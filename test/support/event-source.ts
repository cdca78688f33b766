import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import type { Readable } from "node:stream";
import type { HttpVersion } from "./http-request.ts";

/** An event as a reader puts it together, or a comment. */
export type SentEvent = {
  readonly type?: string;
  readonly id?: string;
  readonly data?: string;
  readonly comment?: string;
};

/** A reply that is under way. */
export type OpenReply = {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  /** Its body; nothing is taken of it until it is read. */
  readonly body: Readable;
  /** Leaves without a word. */
  close(): void;
};

type StreamRequest = {
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
};

/** Sends a request on a connection of its own and answers as soon as there is a head. */
export async function openReply(url: string, version: HttpVersion, request: StreamRequest): Promise<OpenReply> {
  const { path, method = "GET", headers = {} } = request;
  if (version === "1.1") {
    const sent = (url.startsWith("https:") ? https : http).request(url, { path, method, headers, agent: false }).end();
    const [body]: [http.IncomingMessage] = await once(sent, "response").then(([response]) => [response]);
    body.on("error", () => undefined);
    return { status: body.statusCode ?? 0, headers: body.headers, body, close: () => sent.destroy() };
  }
  const session = http2.connect(url);
  session.on("error", () => undefined);
  const body = session.request({ ":path": path, ":method": method, ...headers });
  body.on("error", () => undefined).on("close", () => session.close());
  const [head]: [http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader] = await once(body, "response").then(
    ([response]) => [response],
  );
  return { status: Number(head[":status"]), headers: head, body, close: () => session.destroy() };
}

/** Reads events as they come, to the end of the body. */
export async function* readEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<SentEvent> {
  let rest = "";
  for await (const chunk of body) {
    const blocks = (rest + Buffer.from(chunk).toString()).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      yield parseEvent(block);
    }
  }
  if (rest !== "") {
    throw new Error(`the stream ended inside of an event: ${rest}`);
  }
}

function parseEvent(block: string): SentEvent {
  const fields = block.split("\n").map((line) => {
    const [, name = "", value = ""] = /^([^:]*): ?(.*)$/.exec(line) ?? [];
    return [name, value] as const;
  });
  const all = (wanted: string) => fields.filter(([name]) => name === wanted).map(([, value]) => value);
  const [type, id, comment] = [...["event", "id", ""].map((name) => all(name)[0])];
  const data = all("data");
  return {
    ...(type !== undefined && { type }),
    ...(id !== undefined && { id }),
    ...(data.length > 0 && { data: data.join("\n") }),
    ...(comment !== undefined && { comment }),
  };
}
