import { connect } from "node:net";

/** Sends bytes on a connection of its own, and answers all that comes until it is closed, each byte as a character. */
export function sendRaw(url: string, bytes: string | Uint8Array, { timeoutMs = 5_000 } = {}): Promise<string> {
  const { hostname, port } = new URL(url);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect(Number(port), hostname);
  const timer = setTimeout(() => socket.destroy(new Error(`the connection is open after ${timeoutMs} ms`)), timeoutMs);
  let received = "";
  socket
    .setEncoding("latin1")
    .on("data", (text) => {
      received += text;
    })
    .on("error", (error: NodeJS.ErrnoException) => {
      // A reset is an end like any other.
      if (error.code === undefined) {
        reject(error);
      }
    })
    .on("close", () => {
      clearTimeout(timer);
      resolve(received);
    });
  socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  return promise;
}

/** The statuses of the replies in what a connection received. */
export function statusesOf(received: string): readonly number[] {
  return [...received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
}
