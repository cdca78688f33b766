import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { ServerLimits } from "../limits/server-limits.ts";

/** Undocumented parts of a socket's handle: they stop and continue reading from the kernel. */
type Handle = { readonly reading?: boolean; readStart?: () => unknown; readStop?: () => unknown };

/** The open connections of one address, and the requests that they have started in this iteration of the event loop. */
type Peers = { readonly connections: Set<Connection>; requests: number };

/** An open connection, and what its requests use. */
export type Connection = {
  readonly socket: Socket;
  /** The client's address, or its network's. */
  readonly address: string;
  readonly peers: Peers;
  /** Undefined until the connection starts. */
  version: "http1" | "http2" | undefined;
  /** HTTP/1.1: the responses that are still owed, in order. Node parses all pipelined requests and would serve them at once. */
  readonly pending: Set<ServerResponse>;
  /** The number of requests that are being served. */
  serving: number;
  /** The memory that its requests use for bodies and replies, in bytes. */
  bytes: number;
  /** HTTP/1.1: called when no response is owed any more. A graceful shutdown sets it. */
  onIdle: (() => void) | undefined;
};

/**
 * The open connections of each client address: how many there may be, and how many requests they may start at a time.
 *
 * The latter is backpressure by TCP flow control. In one iteration of its event loop Node reads from every connection that
 * has sent something, and starts every request that it finds: hundreds of connections that send at the same moment delay
 * everybody by the sum. So an address may start a limited number of requests in one iteration. Then its connections are
 * not read until the next one, and their bytes wait in the kernel's buffers.
 */
export class AddressConnections {
  readonly #limits: Pick<ServerLimits, "connectionsPerAddressMax" | "requestsPerTurnMax">;
  readonly #peers = new Map<string, Peers>();
  /** The addresses that have started a request in this iteration. */
  readonly #active: Peers[] = [];
  readonly #paused: Socket[] = [];

  constructor(limits: Pick<ServerLimits, "connectionsPerAddressMax" | "requestsPerTurnMax">) {
    this.#limits = limits;
  }

  /** Adds a connection until it closes. Undefined if its address has as many as are allowed. */
  open(socket: Socket, address: string): Connection | undefined {
    const peers: Peers = this.#peers.get(address) ?? { connections: new Set(), requests: 0 };
    if (peers.connections.size >= this.#limits.connectionsPerAddressMax) {
      return undefined;
    }
    const use = { pending: new Set<ServerResponse>(), serving: 0, bytes: 0 };
    const connection: Connection = { socket, address, peers, version: undefined, ...use, onIdle: undefined };
    this.#peers.set(address, peers);
    peers.connections.add(connection);
    socket.once("close", () => {
      peers.connections.delete(connection);
      if (peers.connections.size === 0) {
        this.#peers.delete(address);
      }
    });
    return connection;
  }

  *all(): Generator<Connection> {
    for (const { connections } of this.#peers.values()) {
      yield* connections;
    }
  }

  /** Counts a request that has started on a connection. */
  countRequest({ peers }: Connection): void {
    peers.requests += 1;
    if (peers.requests === 1) {
      this.#active.push(peers);
      if (this.#active.length === 1) {
        setImmediate(() => this.#endIteration());
      }
    }
    if (peers.requests === this.#limits.requestsPerTurnMax) {
      for (const { socket } of peers.connections) {
        this.#pause(socket);
      }
    }
  }

  #pause(socket: Socket): void {
    const handle = handleOf(socket);
    if (handle?.readStop === undefined || handle.readStart === undefined) {
      return;
    }
    handle.readStop();
    this.#paused.push(socket);
  }

  #endIteration(): void {
    for (const peers of this.#active.splice(0)) {
      peers.requests = 0;
    }
    for (const socket of this.#paused.splice(0)) {
      if (!socket.destroyed) {
        handleOf(socket)?.readStart?.();
      }
    }
  }
}

/** Undefined if the connection is closed or is not being read: a pause of Node's own must stay. */
function handleOf(socket: Socket): Handle | undefined {
  const { _handle: handle } = socket as Socket & { readonly _handle?: Handle | null };
  return handle?.reading === false ? undefined : (handle ?? undefined);
}
