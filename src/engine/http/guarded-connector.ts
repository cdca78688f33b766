import { once } from "node:events";
import { BlockList, isIP, connect as netConnect, type Socket } from "node:net";
import { connect as tlsConnect } from "node:tls";
import type { buildConnector } from "undici";
import { familyOf } from "./egress-allow-list.ts";
import { HttpFailure } from "./http-failure.ts";
import type { SsrfGuard } from "./ssrf-guard.ts";
import { plainHost, portOf } from "./target-url.ts";

/** Resolves a name to all its addresses, IPv4 and IPv6, as text. */
export type Resolve = (hostname: string) => Promise<readonly string[]>;

export type DialOptions = {
  readonly guard: SsrfGuard;
  readonly resolve: Resolve;
  /** After this aborts, no connection is opened. */
  readonly signal: AbortSignal;
};

/**
 * Opens every socket of the client, safe from DNS rebinding: a name is resolved once, all its addresses are checked, and only
 * those are dialled. No second resolution between the check and the connection could give another address.
 */
export function guardedConnector(options: DialOptions): buildConnector.connector {
  return (target, callback) => {
    dial(target, options).then(
      (socket) => callback(null, socket),
      (error: unknown) => callback(error instanceof Error ? error : new Error("dial failed", { cause: error }), null),
    );
  };
}

async function dial(target: buildConnector.Options, { guard, resolve, signal }: DialOptions): Promise<Socket> {
  const host = plainHost(target.hostname);
  const port = portOf(target);
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(connectMs)]);
  const addresses = isIP(host) === 0 ? await settleWithin(deadline, resolve(target.hostname)) : [host];
  if (addresses.length === 0) {
    throw new HttpFailure("CONNECTION_FAILED", `${JSON.stringify(host)} has no address.`);
  }
  guard.check({ host, port }, addresses);
  const socket = await openSocket({ addresses: addresses.slice(0, addressesMax), port, signal: deadline });
  return target.protocol === "https:" ? startTls(socket, { host, signal: deadline }) : socket;
}

/** Settles as the work does, or rejects as soon as the signal aborts. A DNS lookup cannot be cancelled, only abandoned. */
function settleWithin<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
    }
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    work.then(resolve, reject);
  });
}

type OpenOptions = { readonly addresses: readonly string[]; readonly port: number; readonly signal: AbortSignal };

/** Tries the addresses in turn (Happy Eyeballs), as Node does for a name, but leaves Node no name to resolve. */
async function openSocket({ addresses, port, signal }: OpenOptions): Promise<Socket> {
  const checked = new BlockList();
  for (const address of addresses) {
    checked.addAddress(address, familyOf(address));
  }
  const found = addresses.map((address) => ({ address, family: isIP(address) }));
  const socket = netConnect({
    host: "checked.invalid",
    port,
    lookup: (_host, _options, callback) => callback(null, found),
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: attemptMs,
    noDelay: true,
    keepAlive: true,
  });
  return whenReady(socket, async () => {
    await once(socket, "connect", { signal });
    const remote = socket.remoteAddress ?? "";
    if (isIP(remote) === 0 || !checked.check(remote, familyOf(remote))) {
      throw new HttpFailure("EGRESS_REFUSED", "The connection was made to an address that was not checked.");
    }
  });
}

type TlsOptions = { readonly host: string; readonly signal: AbortSignal };

/** Checks the certificate against the URL's host, whatever NODE_TLS_REJECT_UNAUTHORIZED says. */
async function startTls(socket: Socket, { host, signal }: TlsOptions): Promise<Socket> {
  const secured = tlsConnect({
    socket,
    host,
    // A server name may not be an address (RFC 6066, section 3).
    servername: isIP(host) === 0 ? host : "",
    ALPNProtocols: ["http/1.1"],
    rejectUnauthorized: true,
  });
  return whenReady(secured, () => once(secured, "secureConnect", { signal }));
}

/** Gives a socket once it is ready, and destroys one that does not become ready. */
async function whenReady(socket: Socket, isReady: () => Promise<unknown>): Promise<Socket> {
  try {
    await isReady();
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

const connectMs = 10_000;

/** Node's default is 250 ms for each address, which a distant host needs for a single round trip. */
const attemptMs = 2_500;

/** A name with a thousand addresses must not cause a thousand connections. */
const addressesMax = 8;
