import type { Call } from "../../domain/http/call.ts";
import type { Principal } from "../../domain/principal.ts";
import type { RequestBytes } from "../bodies/bytes-in-flight.ts";
import type { Seat } from "./calls-in-flight.ts";
import type { ThreadTurns } from "./tenant-scheduler.ts";

export type Holding = {
  readonly principal: Principal;
  readonly seat: Seat;
  readonly bytes: RequestBytes;
  readonly thread: ThreadTurns;
};

/** A call with a key. It makes room for others while it waits, and asks for room and time before large messages. */
export function ownCall(call: Call, { principal, seat, bytes, thread }: Holding): Call {
  return {
    ...call,
    principal,
    onWait: () => {
      seat.wait();
      bytes.leaveBody();
    },
    reserveReply: (length) => bytes.reserveReply(length),
    turn: () => thread.take(principal),
  };
}
