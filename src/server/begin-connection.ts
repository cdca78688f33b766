import type { Socket } from "node:net";
import type { ListenerOptions } from "./listener.ts";
import { type HttpVersion, sniffHttpVersion } from "./sniff.ts";

/**
 * Finds out which HTTP a connection speaks, and lets it be spoken: at once, or where its address has turns once in its
 * life when it is its turn.
 */
export function beginConnection(
  socket: Socket,
  address: string,
  { limits, turnOf, speak }: Pick<ListenerOptions, "limits" | "turnOf"> & { speak(version: HttpVersion): void },
): void {
  const { firstBytesMs: timeoutMs, headerBytesMax: bytesMax } = limits;
  const sniff = (turn: () => Promise<void> | undefined) =>
    sniffHttpVersion(socket, { timeoutMs, bytesMax, turn, found: speak });
  const turn = turnOf(address);
  // Many that came together may have used their address's share up by the time that they tell.
  if (turn === undefined) sniff(() => turnOf(address));
  else void turn.then(() => !socket.destroyed && sniff(() => undefined));
}
