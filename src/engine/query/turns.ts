/** How long short queries run one behind the other before the process gets to do other work. */
const sliceMs = 10;

/**
 * Lets one query run at a time and other work in between.
 *
 * JSONata never leaves the microtask queue by itself: a long query would stop the whole process, its leases included,
 * and queries side by side would each be charged for the time of all. Turns go round in the order they are asked for.
 */
export class Turns {
  readonly #waiting: (() => void)[] = [];
  #isTaken = false;
  #sliceStart = 0;

  async take(): Promise<void> {
    if (this.#isTaken) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#isTaken = true;
      this.#sliceStart = performance.now();
    }
  }

  give(): void {
    if (performance.now() - this.#sliceStart > sliceMs) {
      setImmediate(() => {
        this.#sliceStart = performance.now();
        this.#pass();
      });
    } else {
      this.#pass();
    }
  }

  #pass(): void {
    const next = this.#waiting.shift();
    if (next === undefined) {
      this.#isTaken = false;
    } else {
      next();
    }
  }
}
