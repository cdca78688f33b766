import type { Notifier } from "../../storage/postgres/notifier.ts";
import type { SchedulerEvents } from "../run/scheduler-events.ts";

type Announcer = { readonly events: SchedulerEvents; readonly notifier: Pick<Notifier, "notify"> };

/** Says in all processes that a signal was set for an execution. */
export function announceSignal(announcer: Announcer, executionId: string): void {
  announcer.events.emit("signalled", [executionId]);
  announcer.notifier.notify("signals", executionId);
  // It may be asleep, and anybody's to claim.
  announceQueued(announcer);
}

/** Says in all processes that something is there to be claimed. */
export function announceQueued({ events, notifier }: Announcer): void {
  events.emit("queuedElsewhere");
  notifier.notify("queued");
}
