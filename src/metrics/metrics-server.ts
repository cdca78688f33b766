import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Service } from "../domain/service.ts";
import { portError } from "../setup/free-port.ts";

/** A scraper that does not read, or asks again and again, has these bounds. */
const connectionsMax = 16;
const connectionMs = 10_000;

/** A scrape: the metrics in Prometheus's exposition format. */
export type MetricsText = { readonly type: string; readonly body: string };

export type MetricsServerOptions = {
  readonly host: string;
  readonly port: number;
  /** Makes the text of a scrape; scrapes that come together share one. */
  readonly text: () => Promise<MetricsText>;
};

/** Serves `/metrics` on a port of its own, without a key: it belongs to the operator, not to callers. */
export class MetricsServer implements Service {
  readonly #options: MetricsServerOptions;
  readonly #server: Server;
  #scrape: Promise<MetricsText> | undefined;

  constructor(options: MetricsServerOptions) {
    this.#options = options;
    this.#server = createServer({ requestTimeout: connectionMs, headersTimeout: connectionMs }, (request, response) => {
      if (request.url?.split("?")[0] !== "/metrics" || (request.method !== "GET" && request.method !== "HEAD")) {
        response.writeHead(404).end("There is nothing here but GET /metrics.\n");
        return;
      }
      this.#text().then(
        ({ type, body }) => response.writeHead(200, { "content-type": type }).end(body),
        (error: unknown) => response.writeHead(500).end(`${String(error)}\n`),
      );
    });
    this.#server.maxConnections = connectionsMax;
    this.#server.setTimeout(connectionMs, (socket) => socket.destroy());
  }

  /** Throws where the address cannot be listened on. */
  async start(): Promise<void> {
    const { host, port } = this.#options;
    this.#server.listen({ host, port });
    try {
      await once(this.#server, "listening");
    } catch (cause) {
      throw portError({ host, port }, cause, { host: "FLOWCALL_METRICS_HOST", port: "FLOWCALL_METRICS_PORT" });
    }
    // The process ends without waiting for scrapers.
    this.#server.unref();
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** Throws before `start()`. */
  get url(): string {
    // A server that listens on a port has such an address.
    const { address, port } = this.#server.address() as AddressInfo;
    return `http://${address.includes(":") ? `[${address}]` : address}:${port}/metrics`;
  }

  async #text(): Promise<MetricsText> {
    this.#scrape ??= this.#options.text().finally(() => {
      this.#scrape = undefined;
    });
    return await this.#scrape;
  }
}
