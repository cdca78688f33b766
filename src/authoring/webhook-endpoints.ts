import type { Clock } from "../domain/clock.ts";
import { fieldsRefused } from "../domain/json/violations.ts";
import type { Principal } from "../domain/principal.ts";
import type { FieldViolation } from "../domain/request-error.ts";
import type { WebhookEndpoint, WebhookSecrets, WebhookSettings } from "../domain/webhooks/webhook.ts";
import type { Sealed } from "../storage/tenants/connection-store.ts";
import type { EndpointStore, NewEndpoint } from "../storage/webhooks/endpoint-store.ts";
import { knownMs } from "../storage/webhooks/watched-environments.ts";

export type WebhookEndpointsOptions = {
  readonly endpoints: EndpointStore;
  readonly secrets: {
    readonly make: () => string;
    /** Throws RequestError with ENCRYPTION_KEYS_MISSING. */
    readonly seal: (owner: SecretsOwner, secrets: WebhookSecrets) => Sealed;
    readonly open: (owner: SecretsOwner, sealed: Sealed) => WebhookSecrets | undefined;
  };
  /** Whether http may be used to call a URL. */
  readonly allowsHttp: (url: URL) => boolean;
  /** Says in all processes that an endpoint was put. */
  readonly onChange: () => void;
  readonly clock: Clock;
};

type SecretsOwner = { readonly environmentId: string; readonly endpointId: string };

export type PutEndpoint = Omit<NewEndpoint, "headerNames"> & { readonly headers: Readonly<Record<string, string>> };

const endpointsMax = 50;

/** How long the secret before a rotation is used too. */
const rotationMs = 86_400_000;

/** Those that we set ourselves, and those of the connection. */
const reservedHeader =
  /^(?:webhook-.*|x-cobalt-signature|content-type|content-length|host|connection|transfer-encoding|user-agent|cdn-loop|te|upgrade|expect|trailer|keep-alive|proxy-.*)$/i;

/** Sets who is told of the ends of executions. */
export class WebhookEndpoints {
  readonly #options: WebhookEndpointsOptions;

  constructor(options: WebhookEndpointsOptions) {
    this.#options = options;
  }

  /**
   * Answers the secret too, where the endpoint is new, once no process relies on what it knew before. Refuses with
   * VALIDATION_ERROR what could never be called; else as the store does.
   */
  async put(
    { environmentId, keyId }: Principal,
    { headers, ...settings }: PutEndpoint,
  ): Promise<{ readonly endpoint: WebhookEndpoint; readonly secret?: string }> {
    const { endpoints, secrets, onChange, clock } = this.#options;
    const violations = [...this.#violationsOf(settings), ...violationsOfHeaders(headers)];
    if (violations.length > 0) {
      throw fieldsRefused(violations);
    }
    const owner = { environmentId, endpointId: settings.id };
    let secret: string | undefined;
    const seal = (earlier: Sealed | undefined) => {
      const known = earlier && secrets.open(owner, earlier);
      secret = known === undefined ? secrets.make() : undefined;
      return secrets.seal(owner, { ...(known ?? { secret: secret ?? "" }), headers: Object.entries(headers) });
    };
    const headerNames = Object.keys(headers);
    const endpoint = await endpoints.put(
      { environmentId, keyId },
      { ...settings, headerNames },
      { max: endpointsMax, seal },
    );
    onChange();
    await clock.wait(knownMs, new AbortController().signal);
    return { endpoint, ...(secret !== undefined && { secret }) };
  }

  /** Answers the new secret. Throws RESOURCE_NOT_FOUND. */
  async rotate({ environmentId, keyId }: Principal, id: string): Promise<string> {
    const { endpoints, secrets, clock } = this.#options;
    const owner = { environmentId, endpointId: id };
    const secret = secrets.make();
    await endpoints.rotate({ environmentId, keyId }, id, (sealed) => {
      const known = secrets.open(owner, sealed);
      const previous = known && { previous: { secret: known.secret, until: clock.now() + rotationMs } };
      return secrets.seal(owner, { secret, ...previous, headers: known?.headers ?? [] });
    });
    return secret;
  }

  #violationsOf({ url: text }: Pick<WebhookSettings, "url">): FieldViolation[] {
    const url = URL.parse(text);
    if (url === null || !/^https?:$/.test(url.protocol)) {
      return [{ field: "url", description: "must be an absolute URL, as https://example.com/hook" }];
    }
    if (url.username !== "" || url.password !== "") {
      return [{ field: "url", description: "must have no user and password; use headers" }];
    }
    if (url.protocol === "http:" && !this.#options.allowsHttp(url)) {
      return [{ field: "url", description: "must be https, unless FLOWCALL_EGRESS_ALLOW has its host" }];
    }
    return [];
  }
}

function violationsOfHeaders(headers: Readonly<Record<string, string>>): FieldViolation[] {
  return Object.entries(headers).flatMap(([name, value]) => {
    const isName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/.test(name) && !reservedHeader.test(name);
    if (isName && /^[\x20-\x7e]{0,4096}$/.test(value)) {
      return [];
    }
    return [
      { field: `headers.${name.slice(0, 128)}`, description: "must be a header of printable ASCII that is not ours" },
    ];
  });
}
