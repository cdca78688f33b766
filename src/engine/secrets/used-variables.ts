import { NodeFailure } from "../errors/node-failure.ts";
import { HttpFailure } from "../http/http-failure.ts";
import type { Hop, HttpRequest } from "../http/http-request.ts";
import { readTargetUrl } from "../http/target-url.ts";
import { isHostIn, parseHostRule } from "./host-rule.ts";
import type { ReadVariable } from "./variable-source.ts";

/** The variables that a node reads: their values, and the hosts that the secret ones may be sent to. */
export class UsedVariables {
  readonly #variables: ReadonlyMap<string, ReadVariable>;

  /** Throws NodeFailure where one is missing: no empty secret leaves. */
  constructor(names: readonly string[], variables: ReadonlyMap<string, ReadVariable>) {
    this.#variables = variables;
    const missing = names.filter((name) => !variables.has(name));
    if (missing.length > 0) {
      const message = `There is no variable ${missing.map((name) => `"${name}"`).join(", ")}. Put it, and run the workflow again.`;
      throw new NodeFailure("VARIABLE_MISSING", message, { isFinal: true });
    }
  }

  get values(): ReadonlyMap<string, string> {
    return new Map(Array.from(this.#variables, ([name, { value }]) => [name, value]));
  }

  get secrets(): readonly string[] {
    return [...this.#variables.values()].flatMap(({ value, hosts }) => (hosts === undefined ? [] : [value]));
  }

  /** The same request, which goes to the hosts of all its secrets alone, by redirects too. Throws NodeFailure. */
  guard<Request extends Pick<HttpRequest, "url" | "checkHop">>(request: Request): Request {
    const refusal = this.#refusalOf(parsed(request.url));
    if (refusal !== undefined) {
      throw new NodeFailure("VARIABLE_HOST_REFUSED", refusal, { isFinal: true });
    }
    const checkHop = (hop: Hop) => {
      const refused = this.#refusalOf(hop.url);
      if (refused !== undefined) {
        throw new HttpFailure("VARIABLE_HOST_REFUSED", refused);
      }
      request.checkHop?.(hop);
    };
    return { ...request, checkHop };
  }

  #refusalOf(url: URL): string | undefined {
    for (const [name, { hosts }] of this.#variables) {
      if (hosts !== undefined && !hosts.some((host) => isAllowed(host, url))) {
        return `The secret variable "${name}" may not be sent to this host. Call one of its hosts, or add the host to them.`;
      }
    }
    return undefined;
  }
}

/** Whether a text names hosts as PutVariable takes them: `api.example.com`, `*.example.com`, `*`, or the same behind `http://`. */
export function isVariableHost(text: string): boolean {
  const host = hostIn(text);
  return host === "*" || parseHostRule(host) !== undefined;
}

function isAllowed(text: string, url: URL): boolean {
  const host = hostIn(text);
  const rule = host === "*" ? undefined : parseHostRule(host);
  const protocol = host === text ? "https:" : "http:";
  return url.protocol === protocol && (host === "*" || (rule !== undefined && isHostIn([rule], url)));
}

function hostIn(text: string): string {
  return text.replace(/^http:\/\//, "");
}

function parsed(url: string): URL {
  try {
    return readTargetUrl(url);
  } catch (error) {
    throw error instanceof HttpFailure ? new NodeFailure("URL_INVALID", error.message, { isFinal: true }) : error;
  }
}
