import { type Logger, pino } from "pino";
import { apiServices } from "../../src/api-docs/api-services.ts";
import { httpBindings } from "../../src/gateway/http-binding.ts";
import { reasonsOf } from "../../src/gateway/openapi/reasons-of.ts";

/** What each method may be refused for, by its name, as its proto declares it and as the API page says it. */
const declared = new Map(
  httpBindings(apiServices).map((binding) => {
    const { own, general } = reasonsOf(binding);
    return [binding.method.name, new Set<string>([...own, ...general])];
  }),
);

/**
 * Looks at everything that a service refuses, in its log: whatever test it serves, a method that answers a refusal which
 * its proto does not declare is found.
 */
export class Refusals {
  readonly log: Logger;
  readonly #undeclared = new Set<string>();

  constructor() {
    const serializers = { err: () => undefined };
    this.log = pino({ level: "debug", base: null, serializers }, { write: (line) => this.#look(line) });
  }

  /** Throws where something was refused for a reason that is not declared. */
  check(): void {
    if (this.#undeclared.size === 0) {
      return;
    }
    throw new Error(`refusals that their methods' protos do not declare: ${[...this.#undeclared].join(", ")}`);
  }

  #look(line: string): void {
    if (!line.includes('"msg":"call refused"')) {
      return;
    }
    const { rpc, reason } = JSON.parse(line);
    if (declared.get(rpc)?.has(reason) === false) {
      this.#undeclared.add(`${rpc}: ${reason}`);
    }
  }
}
