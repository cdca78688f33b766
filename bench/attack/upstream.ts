import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** What the victim's workflows call: answers after about a second, and counts what it gets by Idempotency-Key. */
export async function startUpstream() {
  const counts = new Map<string, number>();
  const server = createServer(async (request, response) => {
    const key = String(request.headers["idempotency-key"]);
    counts.set(key, (counts.get(key) ?? 0) + 1);
    request.resume();
    response.on("error", () => undefined);
    await pause(900 + Math.random() * 200);
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // A server that listens on a port has an AddressInfo, which the type cannot know.
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    /** How many requests came more than once. */
    sentTwice: () => [...counts.values()].filter((count) => count > 1).length,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
