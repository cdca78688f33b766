import type { Outcome } from "../../domain/execution.ts";

/** Why a run is cut short: with the outcome that somebody else committed, or without one. */
export class CutShort extends Error {
  readonly outcome: Outcome | undefined;

  constructor(message: string, outcome?: Outcome) {
    super(message);
    this.outcome = outcome;
  }
}
