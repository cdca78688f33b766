import { once } from "node:events";
import { createServer } from "node:net";

export type PortChoice = { readonly host: string; readonly port: number };

/** The settings that a port and its address come from. */
export type PortSettings = { readonly host: string; readonly port: string };

const ownSettings: PortSettings = { host: "FLOWCALL_HOST", port: "FLOWCALL_PORT" };

/**
 * The port itself, or one that is free where it is 0. Throws if it cannot be listened on: the server opens it last, and by
 * then a start would have migrated the database and started executions.
 */
export async function choosePort(choice: PortChoice): Promise<number> {
  const { host, port } = choice;
  const server = createServer().listen({ host, port });
  try {
    await once(server, "listening");
  } catch (error) {
    throw portError(choice, error);
  }
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : port;
}

/** The error of a port that could not be opened. It names the setting that is wrong, and says what to do. */
export function portError({ host, port }: PortChoice, cause: unknown, names: PortSettings = ownSettings): Error {
  switch (cause instanceof Error && "code" in cause ? cause.code : undefined) {
    case "EADDRINUSE":
      return new Error(
        `${host}:${port} is taken by another program: stop that one, or choose another ${names.port} (0 is any free one)`,
      );
    case "EACCES":
      return new Error(`this user may not listen on ${host}:${port}: choose a ${names.port} from 1024 on`);
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EINVAL":
      return new Error(
        `${host} is no address of this machine: set ${names.host} to one of its own, to 127.0.0.1 for callers on this ` +
          "machine alone, or to 0.0.0.0 for all",
      );
    default:
      return new Error(`the port cannot be opened; ${names.host} is ${host} and ${names.port} ${port}`, { cause });
  }
}
