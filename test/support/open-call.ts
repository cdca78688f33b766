import { once } from "node:events";
import http2 from "node:http2";
import { connect, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import { frame } from "./grpc-web.ts";

/** A connection of gRPC whose stream a test holds in its hands. */
export type OpenSession = {
  readonly session: http2.ClientHttp2Session;
  readonly socket: Socket;
  open(path: string): OpenCall;
};

export type OpenCall = {
  readonly stream: http2.ClientHttp2Stream;
  /** Settles with the end of the call: its gRPC status, and the refusal's text where there is one. */
  readonly ended: Promise<{ readonly status: string; readonly message: string; readonly details: string }>;
  /** Settles with the first bytes of a reply. */
  readonly answered: Promise<unknown>;
};

export const reflectionPaths = ["v1", "v1alpha"].map(
  (version) => `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
);
export const [reflectionPath = ""] = reflectionPaths;
export const watchPath = "/grpc.health.v1.Health/Watch";

/** The question of reflection that has the longest answer, in its envelope. */
export function symbolQuestion(symbol = "flowcall.v1.WorkflowService"): Buffer {
  const name = Buffer.from(symbol);
  return frame(0, Buffer.concat([Buffer.from([0x22, name.length]), name]));
}

/** Connects from an address of the loopback range, until the test ends. */
export function openSession(url: string, localAddress = "127.0.0.1", settings: http2.Settings = {}): OpenSession {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), localAddress });
  const session = http2.connect(url, { createConnection: () => socket, settings });
  session.on("error", () => undefined);
  onTestFinished(() => session.destroy());
  return { session, socket, open: (path) => openCall(session, path) };
}

function openCall(session: http2.ClientHttp2Session, path: string): OpenCall {
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
  });
  let last: http2.IncomingHttpHeaders = {};
  const take = (headers: http2.IncomingHttpHeaders) => {
    last = { ...last, ...headers };
  };
  stream
    .on("error", () => undefined)
    .on("response", take)
    .on("trailers", take);
  const answered = once(stream, "data").catch(() => undefined);
  const ended = once(stream, "close").then(() => ({
    status: String(last["grpc-status"]),
    message: decodeURIComponent(String(last["grpc-message"] ?? "")),
    details: Buffer.from(String(last["grpc-status-details-bin"] ?? ""), "base64").toString("latin1"),
  }));
  return { stream, ended, answered };
}
