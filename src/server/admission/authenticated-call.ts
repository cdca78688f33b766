import type { Call } from "../../domain/http/call.ts";
import type { Principal } from "../../domain/principal.ts";
import type { RequestBytes } from "../bodies/bytes-in-flight.ts";
import type { CallSlot } from "./calls-in-flight.ts";
import type { TenantScheduler } from "./tenant-scheduler.ts";

export type Admission = {
  readonly principal: Principal;
  readonly slot: CallSlot;
  readonly bytes: RequestBytes;
  readonly scheduler: TenantScheduler;
};

/** Adds to a call who makes it, and the hooks by which it releases and requests its share of the server. */
export function authenticatedCall(call: Call, { principal, slot, bytes, scheduler }: Admission): Call {
  return {
    ...call,
    principal,
    onWait: () => {
      slot.wait();
      bytes.releaseBody();
    },
    reserveReply: (length) => bytes.reserveReply(length),
    turn: () => scheduler.take(principal),
  };
}
