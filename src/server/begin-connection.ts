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
  const sniff = (found: (version: HttpVersion) => void) => sniffHttpVersion(socket, limits.firstBytesMs, found);
  const ifOpen = (next: () => void) => () => {
    if (!socket.destroyed) next();
  };
  const turn = turnOf(address);
  if (turn !== undefined) {
    void turn.then(ifOpen(() => sniff(speak)));
    return;
  }
  sniff((version) => {
    // Many that came together may have used their address's share up since.
    const late = turnOf(address);
    if (late === undefined) speak(version);
    else if (socket.readableLength > limits.headerBytesMax) socket.destroy();
    else void late.then(ifOpen(() => speak(version)));
  });
}
