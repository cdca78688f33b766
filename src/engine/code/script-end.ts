import type { ConsoleLine } from "../../domain/execution.ts";

/** What is kept of a script's console. */
export const consoleMax = { lines: 200, chars: 16 * 1024 } as const;

/** How a script ended. */
export type ScriptOutcome =
  | { readonly kind: "output"; readonly text: string }
  /** It threw, or its promise was rejected; or `invalid`: its result is nothing that JSON can hold. */
  | { readonly kind: "thrown" | "invalid"; readonly name: string; readonly message: string; readonly stack: string }
  | { readonly kind: "no_function" }
  | { readonly kind: "never_settled" }
  | { readonly kind: "timed_out" };

export type ScriptEnd = { readonly outcome: ScriptOutcome; readonly console: readonly ConsoleLine[] };
