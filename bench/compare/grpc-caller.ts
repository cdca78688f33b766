import { once } from "node:events";
import { type ClientHttp2Session, connect } from "node:http2";
import type { Call, Lane } from "./load.ts";

const sessionsMax = 4;

/** Unary gRPC by bare streams of HTTP/2, with the same message each time. */
export async function callGrpc(call: Call, streams: number): Promise<{ lanes: readonly Lane[]; close(): void }> {
  const { origin } = new URL(call.url);
  const sessions = await Promise.all(
    Array.from({ length: Math.min(sessionsMax, streams) }, async () => {
      const session = connect(origin);
      await once(session, "connect");
      session.on("error", () => {});
      return session;
    }),
  );
  const frame = Buffer.from(call.body, "base64");
  const lanes = Array.from({ length: streams }, (_, index) => {
    const session = sessions[index % sessions.length];
    if (session === undefined) {
      throw new Error("a load has at least one stream");
    }
    return laneOf(session, call, frame);
  });
  return {
    lanes,
    close: () => {
      for (const session of sessions) {
        session.destroy();
      }
    },
  };
}

function laneOf(session: ClientHttp2Session, { url, headers }: Call, frame: Buffer): Lane {
  const { pathname } = new URL(url);
  const head = { ":method": "POST", ":path": pathname, "content-type": "application/grpc", te: "trailers", ...headers };
  return () =>
    new Promise((resolve) => {
      const stream = session.request(head);
      let isGood = false;
      stream.on("response", (answer) => {
        isGood ||= answer["grpc-status"] === "0";
      });
      stream.on("trailers", (trailers) => {
        isGood ||= trailers["grpc-status"] === "0";
      });
      stream.on("error", () => {});
      stream.on("close", () => resolve(isGood));
      stream.resume().end(frame);
    });
}
