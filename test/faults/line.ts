import { once } from "node:events";
import { createConnection, createServer, type Server, type Socket } from "node:net";

/**
 * What a line does with what it is given. `cut` ends every connection and takes no new one; `silent` swallows all of it
 * and `deaf` the answers alone, and neither resets anything. A connection that was silent once stays so, as behind a
 * firewall that has forgotten it.
 */
export type LineState = "open" | "cut" | "silent" | "deaf";

/** A line to a database: a TCP port in front of its Unix socket. */
export class Line {
  readonly #target: string;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #state: LineState = "cut";
  #isLost: (answer: Buffer) => boolean = () => false;
  port = 0;

  constructor({ host, port }: { readonly host: string; readonly port: number }) {
    this.#target = `${host}/.s.PGSQL.${port}`;
  }

  async set(state: LineState): Promise<void> {
    this.#state = state;
    if (state === "cut") {
      await this.#close();
    } else if (this.#server === undefined) {
      await this.#listen();
    }
  }

  /** From now on loses answers, each with its connection: what was asked for has been done, and nobody knows. */
  loseAnswers(isLost: (answer: Buffer) => boolean): void {
    this.#isLost = isLost;
  }

  async #listen(): Promise<void> {
    const server = createServer((socket) => this.#join(socket));
    this.#server = server;
    server.listen(this.port, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address !== null && typeof address === "object") {
      this.port = address.port;
    }
  }

  async #close(): Promise<void> {
    const server = this.#server;
    if (server === undefined) {
      return;
    }
    this.#server = undefined;
    server.close();
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    await once(server, "close");
  }

  #join(client: Socket): void {
    const database = createConnection(this.#target);
    const lost = { sent: false, answered: false };
    for (const socket of [client, database]) {
      this.#sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => this.#sockets.delete(socket));
    }
    client.on("data", (chunk) => {
      lost.sent ||= this.#state === "silent";
      if (!lost.sent) {
        database.write(chunk);
      }
    });
    database.on("data", (chunk) => {
      if (typeof chunk !== "string" && this.#isLost(chunk)) {
        client.destroy();
        return;
      }
      lost.answered ||= this.#state === "silent" || this.#state === "deaf";
      if (!lost.answered) {
        client.write(chunk);
      }
    });
    // The end of a connection is a message like any other.
    client.on("close", () => {
      if (!lost.sent && this.#state !== "silent") {
        database.destroy();
      }
    });
    database.on("close", () => {
      if (!lost.answered && this.#state !== "silent" && this.#state !== "deaf") {
        client.destroy();
      }
    });
  }
}
