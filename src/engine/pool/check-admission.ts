import { RequestError } from "../../domain/request-error.ts";

/** One environment may have this fraction of the checks: a tenth. */
const environmentFraction = 10;

/**
 * Admission control for checks of payloads and definitions: callers wait for them, so load is shed where too many wait, in an
 * environment or in the process.
 */
export class CheckAdmission {
  readonly #max: number;
  readonly #environments = new Map<string, number>();
  #total = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Admits a check, and gives the function that ends it. Throws RequestError where there are too many. */
  enter(environmentId: string): () => void {
    const own = this.#environments.get(environmentId) ?? 0;
    const ownMax = Math.ceil(this.#max / environmentFraction);
    if (own >= ownMax) {
      throw tooMany(ownMax);
    }
    if (this.#total >= this.#max) {
      throw poolFull(this.#max);
    }
    this.#total += 1;
    this.#environments.set(environmentId, own + 1);
    return () => {
      this.#total -= 1;
      const left = (this.#environments.get(environmentId) ?? 1) - 1;
      if (left > 0) {
        this.#environments.set(environmentId, left);
      } else {
        this.#environments.delete(environmentId);
      }
    };
  }
}

function tooMany(max: number): RequestError {
  const message = `This environment has ${max} checks of payloads and definitions waiting, which is its limit (environment_pool_queue). Try again later.`;
  return new RequestError("TOO_MANY_REQUESTS", message, {
    metadata: { limit: "environment_pool_queue", value: String(max) },
    retryAfterSeconds: 1,
  });
}

function poolFull(max: number): RequestError {
  const message = `This process has ${max} checks of payloads and definitions waiting, which is its limit (pool_queue). Try again later.`;
  return new RequestError("POOL_FULL", message, {
    metadata: { limit: "pool_queue", value: String(max) },
    retryAfterSeconds: 1,
  });
}
