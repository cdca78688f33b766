import { once } from "node:events";
import { connect, createServer } from "node:net";

/** How long to wait for an address that does not answer. */
const answerMs = 500;

export type PortChoice = { readonly host: string; readonly port: number };

/**
 * Throws if another program listens on the port. The server opens it last, and by then a start would have migrated the
 * database and started executions.
 */
export async function requireFreePort({ host, port }: PortChoice): Promise<void> {
  if (port === 0) {
    return;
  }
  const address = { "0.0.0.0": "127.0.0.1", "::": "::1" }[host] ?? host;
  const socket = connect({ host: address, port });
  try {
    await once(socket, "connect", { signal: AbortSignal.timeout(answerMs) });
  } catch {
    // Nothing listens there. Other reasons not to listen show when the server does.
    return;
  } finally {
    socket.destroy();
  }
  throw new Error(portTaken({ host, port }));
}

/** The port itself, or one that is free where it is 0. */
export async function choosePort({ host, port }: PortChoice): Promise<number> {
  if (port !== 0) {
    return port;
  }
  const server = createServer().listen({ host, port });
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : port;
}

/** The error of a port that could not be opened. It names the settings of the port. */
export function portError(choice: PortChoice, cause: unknown): Error {
  const isTaken = cause instanceof Error && "code" in cause && cause.code === "EADDRINUSE";
  const { host, port } = choice;
  const message = `the port cannot be opened; FLOWCALL_HOST is ${host} and FLOWCALL_PORT ${port}`;
  return new Error(isTaken ? portTaken(choice) : message, { cause });
}

function portTaken({ host, port }: PortChoice): string {
  return `${host}:${port} is taken by another program: stop that one, or choose another FLOWCALL_PORT (0 is any free one)`;
}
