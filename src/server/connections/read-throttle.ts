import type { Socket } from "node:net";

/** Undocumented parts of a socket's handle: they stop and continue reading from the kernel. */
type Handle = { readonly reading?: boolean; readStart?: () => unknown; readStop?: () => unknown };

/** The open connections of one address. */
type AddressConnections = { readonly sockets: Set<Socket>; requests: number };

/**
 * Backpressure for each client address, by TCP flow control. In one iteration of its event loop Node reads from every
 * connection that has sent something, and starts every request that it finds: hundreds of connections that send at the
 * same moment delay everybody by the sum. So an address may start a limited number of requests in one iteration. Then
 * its connections are not read until the next one, and their bytes wait in the kernel's buffers.
 */
export class ReadThrottle {
  readonly #requestsMax: number;
  readonly #connections = new Map<string, AddressConnections>();
  readonly #bySocket = new WeakMap<object, AddressConnections>();
  /** The addresses that have started a request in this iteration. */
  readonly #active = new Set<AddressConnections>();
  readonly #paused: Socket[] = [];

  constructor({ requestsPerTurnMax }: { readonly requestsPerTurnMax: number }) {
    this.#requestsMax = requestsPerTurnMax;
  }

  add(socket: Socket, address: string): void {
    const own = this.#connections.get(address) ?? { sockets: new Set(), requests: 0 };
    this.#connections.set(address, own);
    own.sockets.add(socket);
    this.#bySocket.set(socket, own);
    socket.once("close", () => {
      own.sockets.delete(socket);
      if (own.sockets.size === 0) {
        this.#connections.delete(address);
      }
    });
  }

  /** The number of open connections of an address. */
  connectionsOf(address: string): number {
    return this.#connections.get(address)?.sockets.size ?? 0;
  }

  /** Counts a request that has started on a connection. */
  countRequest(socket: object): void {
    const own = this.#bySocket.get(socket);
    if (own === undefined) {
      return;
    }
    if (this.#active.size === 0) {
      setImmediate(() => this.#endIteration());
    }
    this.#active.add(own);
    own.requests += 1;
    if (own.requests === this.#requestsMax) {
      for (const other of own.sockets) {
        this.#pause(other);
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
    for (const own of this.#active) {
      own.requests = 0;
    }
    this.#active.clear();
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
