import type { Socket } from "node:net";
import type { ListenerOptions } from "../listener.ts";
import { countRequests } from "./count-requests.ts";
import { type HttpVersion, sniffHttpVersion } from "./detect-http-version.ts";
import type { BeginTurns } from "./new-connection-queue.ts";

type BeginOptions = Pick<ListenerOptions, "limits" | "turnOf"> & {
  readonly turns: BeginTurns;
  speak(version: HttpVersion): void;
};

/**
 * Finds out which HTTP a connection speaks, and begins it when its turn among the new connections comes. Where its address
 * has used up its share of refusals (`turnOf`), it waits for a turn of that address first, once in its life.
 */
export function beginConnection(socket: Socket, address: string, { limits, turnOf, turns, speak }: BeginOptions): void {
  const { firstBytesMs: timeoutMs, headerBytesMax: bytesMax } = limits;
  const found = (version: HttpVersion, bytes: Buffer) => {
    const begin = () => {
      if (socket.destroyed) return;
      if (socket.readableLength > bytes.length) joinPieces(socket);
      speak(version);
    };
    const turn = turns.take(address, countRequests(version, bytes));
    if (turn === undefined) begin();
    else void turn.then(begin);
  };
  const sniff = (turn: () => Promise<void> | undefined) =>
    sniffHttpVersion(socket, { timeoutMs, bytesMax, turn, found });
  const turn = turnOf(address);
  // Many that came together may have used their address's share up by the time that they tell.
  if (turn === undefined) sniff(() => turnOf(address));
  else void turn.then(() => !socket.destroyed && sniff(() => undefined));
}

/**
 * Makes one piece of those that a paused socket holds. Node gives a session of HTTP/2 what its socket holds piece by piece,
 * and ends the process where a piece has ended the session (`Http2Session`, "emulate receiving it"). To be called where
 * there are several: to read makes the socket go on reading, and in the middle of its reading that is undone at once.
 */
function joinPieces(socket: Socket): void {
  socket.unshift(socket.read(socket.readableLength));
}
