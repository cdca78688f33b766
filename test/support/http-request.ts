import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";

export type HttpVersion = "1.1" | "2";

export type HttpRequest = {
  readonly method: string;
  readonly path: string;
  /** Names may repeat. */
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: Uint8Array | string;
};

export type HttpAnswer = {
  readonly status: number;
  /** Trailers of HTTP/2 among them. */
  readonly headers: Headers;
  readonly body: Buffer;
};

/** Sends one request as it is given, on a connection of its own. */
export function sendRequest(url: string, version: HttpVersion, request: HttpRequest): Promise<HttpAnswer> {
  return version === "1.1" ? sendHttp1(url, request) : sendHttp2(url, request);
}

async function sendHttp1(url: string, { method, path, headers = [], body }: HttpRequest): Promise<HttpAnswer> {
  const request = (url.startsWith("https:") ? https : http).request(url, {
    method,
    path,
    headers: byName(headers),
    agent: false,
  });
  const responded: Promise<[http.IncomingMessage]> = once(request, "response").then(([response]) => [response]);
  // A refusal may end the connection while the body is still sent; that comes after the reply, and is not a failure.
  request.on("error", () => undefined).end(body);
  const [response] = await responded;
  const chunks = await response.toArray();
  return answerOf(response.statusCode ?? 0, response.headers, chunks);
}

async function sendHttp2(url: string, { method, path, headers = [], body }: HttpRequest): Promise<HttpAnswer> {
  // In megabytes. A large body waits in the session's memory, and it is the server's limit that has to end it.
  const session = http2.connect(url, { maxSessionMemory: 1_000 });
  try {
    const { promise, resolve, reject } = Promise.withResolvers<http2.IncomingHttpHeaders>();
    session.once("error", reject);
    const endStream = body === undefined || body.length === 0;
    const stream = session.request({ ":method": method, ":path": path, ...byName(headers) }, { endStream });
    // A stream that is cut may close without an error.
    stream
      .once("response", resolve)
      .once("error", reject)
      .once("close", () => reject(new Error("the stream closed without a reply")));
    let trailers: http2.IncomingHttpHeaders = {};
    stream.once("trailers", (fields) => {
      trailers = fields;
    });
    if (!endStream) {
      stream.end(body);
    }
    const replyHeaders = await promise;
    const chunks = await stream.toArray();
    return answerOf(Number(replyHeaders[":status"]), { ...replyHeaders, ...trailers }, chunks);
  } finally {
    session.destroy();
  }
}

function byName(headers: readonly (readonly [string, string])[]): Record<string, string[]> {
  const all: Record<string, string[]> = {};
  for (const [name, value] of headers) {
    all[name] = [...(all[name] ?? []), value];
  }
  return all;
}

function answerOf(status: number, headers: http.IncomingHttpHeaders, chunks: readonly Uint8Array[]): HttpAnswer {
  const web = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (!name.startsWith(":")) {
      for (const each of [value ?? ""].flat()) {
        web.append(name, each);
      }
    }
  }
  return { status, headers: web, body: Buffer.concat(chunks) };
}
