import { once } from "node:events";
import { connect } from "node:net";

/** How long an address that does not answer is waited for. */
const answerMs = 500;

export type PortChoice = { readonly host: string; readonly port: number };

/**
 * Throws where something listens on a port already. The port itself is opened last of all, and until then a start would
 * have migrated the database and begun executions.
 */
export async function requireFreePort({ host, port }: PortChoice): Promise<void> {
  if (port === 0) return;
  const address = { "0.0.0.0": "127.0.0.1", "::": "::1" }[host] ?? host;
  const socket = connect({ host: address, port });
  try {
    await once(socket, "connect", { signal: AbortSignal.timeout(answerMs) });
  } catch {
    // Nobody takes a connection there; whether we may listen is found when we do.
    return;
  } finally {
    socket.destroy();
  }
  throw new Error(takenText({ host, port }));
}

/** The error of a port that could not be opened, with the settings that say where. */
export function portError(choice: PortChoice, cause: unknown): Error {
  const isTaken = cause instanceof Error && "code" in cause && cause.code === "EADDRINUSE";
  const { host, port } = choice;
  const message = `the port cannot be opened; FLOWCALL_HOST is ${host} and FLOWCALL_PORT ${port}`;
  return new Error(isTaken ? takenText(choice) : message, { cause });
}

function takenText({ host, port }: PortChoice): string {
  return `${host}:${port} is taken by another program: stop that one, or choose another FLOWCALL_PORT (0 is any free one)`;
}
