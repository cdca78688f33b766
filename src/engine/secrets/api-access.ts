import { unreachable } from "../../domain/unreachable.ts";
import { type FailureReason, NodeFailure } from "../errors/node-failure.ts";
import { HttpFailure } from "../http/http-failure.ts";
import type { Hop, HttpRequest } from "../http/http-request.ts";
import { isHeader } from "../http/request-headers.ts";
import { readTargetUrl } from "../http/target-url.ts";
import { withParameter } from "../http/url-query.ts";
import { type ApiRules, parseApi, secretNamesOf } from "./api-rules.ts";
import type { Credentials, FoundConnection } from "./connection-source.ts";
import { CredentialTextError, renderCredentials } from "./credential-text.ts";
import { isHostIn } from "./host-rule.ts";
import { Redactor, secretCharsMin } from "./redactor.ts";

/** The parts of a request that a connection changes. */
type Authorized = Pick<HttpRequest, "url" | "headers" | "secretHeaders" | "checkHop">;

/**
 * The way of a linked account into an API: adds the credentials of its connection to requests, which go to the hosts of the
 * integration alone. A redirect to another host loses them. All failures are final and come before anything is sent.
 */
export class ApiAccess {
  readonly #slug: string;
  readonly #accountId: string;
  readonly #rules: ApiRules;
  readonly #credentials: Credentials;
  readonly #redactor = new Redactor();
  readonly #base: string | undefined;

  /** Throws NodeFailure where the account has no connection, or one that lacks a credential. */
  constructor({ slug, accountId, api, credentials }: FoundConnection) {
    this.#slug = slug;
    this.#accountId = accountId;
    if (api === undefined || credentials === undefined) {
      throw refused(
        "CONNECTION_MISSING",
        `${this.#name} does not exist. Connect the account, and run the workflow again.`,
      );
    }
    if (credentials === "unreadable") {
      throw refused("CONNECTION_UNREADABLE", `No encryption key opens ${this.#name}. Put its credentials again.`);
    }
    this.#rules = parseApi(api);
    this.#credentials = credentials;
    this.#redactor.add(this.secrets);
    this.#base = this.#rules.baseUrl && this.#render(() => this.#rules.baseUrl?.render((name) => this.#read(name)));
  }

  /** The texts that must not stand in anything that the node gives. */
  get secrets(): readonly string[] {
    const { auth } = this.#rules;
    const secrets = secretNamesOf(this.#rules).map((name) => this.#secret(name));
    return auth?.kind === "basic" ? [...secrets, this.#pair(auth)] : secrets;
  }

  /** The full URL of one that may begin with "/". */
  urlOf(url: string): string {
    if (!url.startsWith("/")) {
      return url;
    }
    if (this.#base === undefined) {
      const message = `The URL begins with "/", and the integration "${this.#slug}" has no base_url. Set it, or write a full URL.`;
      throw refused("URL_INVALID", message);
    }
    return this.#base + url;
  }

  /** The request with the credentials. Throws NodeFailure with CONNECTION_HOST_REFUSED. */
  authorize<Request extends Authorized>(request: Request): Request {
    if (!this.#isOwn(readUrl(request.url))) {
      throw refused("CONNECTION_HOST_REFUSED", this.#hostRefusal);
    }
    const { auth } = this.#rules;
    const checkHop = (hop: Hop) => this.#checkHop(hop);
    switch (auth?.kind) {
      case undefined:
        return request;
      case "query": {
        const url = auth.fields.reduce(
          (made, { key, value }) => withParameter(made, key, this.#text(value)),
          request.url,
        );
        return { ...request, url, checkHop };
      }
      case "headers": {
        const added = auth.fields.map(({ key, value }) => [key, this.#text(value)] as const);
        return { ...request, ...withHeaders(request, added), checkHop };
      }
      case "basic": {
        const value = `Basic ${Buffer.from(this.#pair(auth)).toString("base64")}`;
        return { ...request, ...withHeaders(request, [["Authorization", value]]), checkHop };
      }
      default:
        return unreachable(auth);
    }
  }

  /** A redirect drops the headers with credentials, and a server may have put them into the URL that it leads to. */
  #checkHop({ url, headers, body }: Hop): void {
    const holds = (text: string) => this.#redactor.text(text) !== text;
    const texts = [url.href, ...headers.map(([, value]) => value), ...(typeof body === "string" ? [body] : [])];
    if (!this.#isOwn(url) && texts.some(holds)) {
      throw new HttpFailure("CONNECTION_HOST_REFUSED", `The server redirects with a credential. ${this.#hostRefusal}`);
    }
  }

  #isOwn(url: URL): boolean {
    const { hosts } = this.#rules;
    const base = this.#base === undefined ? undefined : URL.parse(this.#base);
    const protocol = base?.protocol ?? "https:";
    return url.protocol === protocol && (url.host === base?.host || isHostIn(hosts, url));
  }

  get #hostRefusal(): string {
    return (
      `The credentials of the integration "${this.#slug}" may not be sent to this host. Call one of its base_url or its ` +
      "hosts, or add the host to them."
    );
  }

  get #name(): string {
    return `The connection of the linked account "${this.#accountId}" to the integration "${this.#slug}"`;
  }

  #pair({ username, password }: Extract<ApiRules["auth"], { readonly kind: "basic" }>): string {
    return `${this.#text(username)}:${this.#text(password)}`;
  }

  #text(text: Parameters<typeof renderCredentials>[0]): string {
    return renderCredentials(text, (name) => this.#read(name));
  }

  #read(name: string): string {
    const value = Object.hasOwn(this.#credentials, name) ? this.#credentials[name] : undefined;
    if (value === undefined) {
      throw refused(
        "CONNECTION_INCOMPLETE",
        `${this.#name} has no credential "${name}", which the integration needs. Put it.`,
      );
    }
    return value;
  }

  /** One that was put while the integration did not send it may be too short to be found in what a server repeats. */
  #secret(name: string): string {
    const value = this.#read(name);
    if (value.trim().length < secretCharsMin) {
      const message = `The credential "${name}" is shorter than ${secretCharsMin} characters, and is not sent. Put a longer one.`;
      throw refused("CONNECTION_INCOMPLETE", message);
    }
    return value;
  }

  #render<Value>(render: () => Value): Value {
    try {
      return render();
    } catch (error) {
      if (error instanceof CredentialTextError) {
        throw refused("CONNECTION_HOST_REFUSED", `The base_url of the integration "${this.#slug}" ${error.message}.`);
      }
      throw error;
    }
  }
}

function withHeaders({ headers, secretHeaders }: Authorized, added: HttpRequest["headers"]): Omit<Authorized, "url"> {
  const names = added.map(([name]) => name.toLowerCase());
  return {
    headers: [...headers.filter(([name]) => !names.some((one) => isHeader(name, one))), ...added],
    secretHeaders: new Set([...(secretHeaders ?? []), ...names]),
  };
}

function readUrl(url: string): URL {
  try {
    return readTargetUrl(url);
  } catch (error) {
    throw error instanceof HttpFailure ? refused("URL_INVALID", error.message) : error;
  }
}

function refused(reason: FailureReason, message: string): NodeFailure {
  return new NodeFailure(reason, message, { isFinal: true });
}
