import type { Stores } from "../../src/storage/stores.ts";
import { decorate, type Method } from "./decorate.ts";

/** A call of a store at which something happens: before it, while the database has it, or when its answer is there. */
export type Failpoint = {
  readonly store: keyof Stores;
  readonly method: string;
  readonly moment: "before" | "during" | "after";
  /** Which call it is, counted from 1. Those that answer an empty list, as most sweeps do, do not count after. */
  readonly nth?: number;
  /** Only calls count whose argument has this member. */
  readonly having?: string;
};

/** What happens: ends the process, stops it for a while, or throws what a lost connection would. */
export type Fail = () => void | Promise<void>;

/** Stores that behave as they are until `arm` is called, and from then on fail once, at the failpoint. */
export function withFailpoint(stores: Stores, { store, method, moment, nth = 1, having }: Failpoint, fail: Fail) {
  let left = Number.POSITIVE_INFINITY;
  const isDue = () => {
    left -= 1;
    return left === 0;
  };
  const failing =
    (call: Method): Method =>
    async (...args) => {
      if (having !== undefined && Object(args[0])[having] === undefined) {
        return await call(...args);
      }
      if (moment === "before" && isDue()) {
        await fail();
      }
      const answer = call(...args);
      if (moment === "during" && isDue()) {
        answer.catch(() => undefined);
        // By then the statement is on its way.
        await new Promise((resolve) => setImmediate(resolve));
        await fail();
      }
      const result = await answer;
      if (moment === "after" && !(Array.isArray(result) && result.length === 0) && isDue()) {
        await fail();
      }
      return result;
    };
  return {
    stores: { ...stores, [store]: decorate(stores[store], { [method]: failing }) },
    arm: () => {
      left = nth;
    },
  };
}
