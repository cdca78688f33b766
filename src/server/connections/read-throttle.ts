import type { Socket } from "node:net";

/** What the handle of a socket has beside what Node documents: it lets the machine's reading stop and go on. */
type Handle = { readonly reading?: boolean; readStart?: () => unknown; readStop?: () => unknown };

/** Open connections of one address. */
type Group = { readonly sockets: Set<Socket>; begun: number };

/**
 * Turns of reading. In one turn of its event loop Node reads from all connections that have sent something, and begins
 * every request that it finds, before anything else is done: hundreds of connections that send in one moment make
 * everybody wait for the sum. So of each address some requests are begun in a turn, and then its connections are read
 * again in the next one; what they have sent meanwhile waits in the machine's buffers, whose sender waits when they are
 * full (TCP flow control).
 */
export class ReadTurns {
  readonly #requestsMax: number;
  readonly #groups = new Map<string, Group>();
  readonly #groupOf = new WeakMap<object, Group>();
  /** Those of which a request was begun in this turn. */
  readonly #active = new Set<Group>();
  readonly #stopped: Socket[] = [];

  constructor({ requestsPerTurnMax }: { readonly requestsPerTurnMax: number }) {
    this.#requestsMax = requestsPerTurnMax;
  }

  add(socket: Socket, address: string): void {
    const group = this.#groups.get(address) ?? { sockets: new Set(), begun: 0 };
    this.#groups.set(address, group);
    group.sockets.add(socket);
    this.#groupOf.set(socket, group);
    socket.once("close", () => {
      group.sockets.delete(socket);
      if (group.sockets.size === 0) this.#groups.delete(address);
    });
  }

  /** How many connections of an address are open. */
  connectionsOf(address: string): number {
    return this.#groups.get(address)?.sockets.size ?? 0;
  }

  /** Counts a request that has begun on a connection. */
  count(socket: object): void {
    const group = this.#groupOf.get(socket);
    if (group === undefined) return;
    if (this.#active.size === 0) setImmediate(() => this.#endTurn());
    this.#active.add(group);
    group.begun += 1;
    if (group.begun === this.#requestsMax) for (const other of group.sockets) this.#stop(other);
  }

  #stop(socket: Socket): void {
    const handle = handleOf(socket);
    if (handle?.readStop === undefined || handle.readStart === undefined) return;
    handle.readStop();
    this.#stopped.push(socket);
  }

  #endTurn(): void {
    for (const group of this.#active) group.begun = 0;
    this.#active.clear();
    for (const socket of this.#stopped.splice(0)) if (!socket.destroyed) handleOf(socket)?.readStart?.();
  }
}

/** Undefined where the connection is closed, or is not read: Node's own reason to stop stays. */
function handleOf(socket: Socket): Handle | undefined {
  const { _handle: handle } = socket as Socket & { readonly _handle?: Handle | null };
  return handle?.reading === false ? undefined : (handle ?? undefined);
}
