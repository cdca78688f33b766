import { RequestError } from "../../domain/request-error.ts";

/** An environment's part of the checks that there may be at a time. */
const environmentPart = 10;

/** How many checks of payloads and definitions are asked for: callers wait for them, and are sent away where they are many. */
export class Checks {
  readonly #max: number;
  readonly #environments = new Map<string, number>();
  #total = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Counts one until the function is called that it gives. Throws RequestError where there are too many. */
  enter(environmentId: string): () => void {
    const own = this.#environments.get(environmentId) ?? 0;
    const ownMax = Math.ceil(this.#max / environmentPart);
    if (own >= ownMax) throw tooMany(ownMax);
    if (this.#total >= this.#max) throw poolFull(this.#max);
    this.#total += 1;
    this.#environments.set(environmentId, own + 1);
    return () => {
      this.#total -= 1;
      const left = (this.#environments.get(environmentId) ?? 1) - 1;
      if (left > 0) this.#environments.set(environmentId, left);
      else this.#environments.delete(environmentId);
    };
  }
}

function tooMany(max: number): RequestError {
  const message = `${max} checks of payloads and definitions wait in this environment already (limit environment_pool_queue). Try again later.`;
  return new RequestError("TOO_MANY_REQUESTS", message, {
    metadata: { limit: "environment_pool_queue", value: String(max) },
    retryAfterSeconds: 1,
  });
}

function poolFull(max: number): RequestError {
  const message = `${max} checks of payloads and definitions wait in this process already (limit pool_queue). Try again later.`;
  return new RequestError("POOL_FULL", message, {
    metadata: { limit: "pool_queue", value: String(max) },
    retryAfterSeconds: 1,
  });
}
