import { type Tenant, turnOfTenant } from "../../domain/account.ts";
import type { EventLoopYielder } from "../../domain/event-loop-yielder.ts";
import type { Principal } from "../../domain/principal.ts";
import type { ServerLimits } from "../limits/server-limits.ts";
import { callRefusal } from "./usage-refusals.ts";

/** So many keys may be remembered without a request of theirs in flight. */
const idleKeysMax = 1_024;

type OrganizationUse = { bytes: number; environments: number };

type EnvironmentUse = {
  readonly organization: OrganizationUse;
  readonly keys: Map<string, KeyUse>;
  active: number;
  waiting: number;
};

/** The use by all requests of one key. */
export type KeyUse = { readonly environment: EnvironmentUse; requests: number; bytes: number };

/**
 * Admission control for authenticated requests: limits on what they use of the server at a time.
 *
 * - The calls in flight, from their headers to their replies, in all and of its environment. Calls that only wait, for the
 *   end of an execution or for its events, have a limit of their own.
 * - The memory for bodies, and for replies that clients have not read yet, in all and for its connection, key and
 *   organisation.
 * - The event loop is shared round-robin over organisations and their environments. A tenant that sends a thousand requests
 *   at a time, or asks for a hundred large replies, delays only itself; others wait for one slice.
 *
 * An organisation may use at most as much memory as is free, and an environment at most as many calls (dynamic threshold,
 * Choudhury and Hahne 1998): alone it gets half of all, next to another greedy one a third, and some always stays free for
 * a newcomer.
 */
export class Admission {
  readonly limits: ServerLimits;
  readonly #yielder: EventLoopYielder;
  readonly #environments = new Map<string, EnvironmentUse>();
  readonly #organizations = new Map<string, OrganizationUse>();
  /** The number of requests of each client address that are queued. */
  readonly queuedRequests = new Map<string, number>();
  #keys = 0;
  /** Idle keys are forgotten when there are so many. */
  #keysMax = idleKeysMax;
  /** Calls in flight, without those that wait. */
  calls = 0;
  /** Memory in use. */
  bytes = 0;
  /** No limit on memory can be reached while less than this is used in all. */
  readonly bytesUnlimited: number;

  constructor(limits: ServerLimits, yielder: EventLoopYielder) {
    this.limits = limits;
    this.#yielder = yielder;
    const { bodyBytesMax, keyBodyBytesMax, connectionBodyBytesMax } = limits;
    this.bytesUnlimited = Math.min(bodyBytesMax / 3, keyBodyBytesMax / 2, connectionBodyBytesMax / 2);
  }

  /** Settles when it is the tenant's turn; undefined: at once. */
  take(tenant: Tenant): Promise<void> | undefined {
    return this.#yielder.yieldIfOver(turnOfTenant(tenant));
  }

  /** Settles with the tenant's next slice of the event loop. */
  async nextSlice(tenant: Tenant): Promise<void> {
    await this.#yielder.nextSlice(turnOfTenant(tenant));
  }

  /** Counts a request of an address as queued until it is its turn. */
  async queue(turn: Promise<void>, address: string): Promise<void> {
    this.queuedRequests.set(address, (this.queuedRequests.get(address) ?? 0) + 1);
    await turn;
    const left = (this.queuedRequests.get(address) ?? 0) - 1;
    if (left > 0) {
      this.queuedRequests.set(address, left);
    } else {
      this.queuedRequests.delete(address);
    }
  }

  /** Starts a call. Throws RequestError if the process or the environment has too many. */
  takeCall(principal: Principal): KeyUse {
    const { environmentId, keyId } = principal;
    const use = this.#environments.get(environmentId)?.keys.get(keyId) ?? this.#open(principal);
    const { callsMax, environmentCallsMax, environmentWaitingMax } = this.limits;
    const { environment } = use;
    const activeMax = Math.min(environmentCallsMax, callsMax - this.calls);
    if (environment.active >= activeMax || environment.waiting >= environmentWaitingMax) {
      throw callRefusal({ active: environment.active, activeMax, calls: this.calls }, this.limits);
    }
    use.requests += 1;
    this.calls += 1;
    environment.active += 1;
    return use;
  }

  #open({ keyId, environmentId, organizationId }: Principal): KeyUse {
    if (this.#keys >= this.#keysMax) {
      this.#forgetIdle();
    }
    let environment = this.#environments.get(environmentId);
    if (environment === undefined) {
      const organization = this.#organizations.get(organizationId) ?? { bytes: 0, environments: 0 };
      organization.environments += 1;
      this.#organizations.set(organizationId, organization);
      environment = { organization, keys: new Map(), active: 0, waiting: 0 };
      this.#environments.set(environmentId, environment);
    }
    const use = { environment, requests: 0, bytes: 0 };
    environment.keys.set(keyId, use);
    this.#keys += 1;
    return use;
  }

  /** Forgets keys without requests, so that keys that are used once take no memory. */
  #forgetIdle(): void {
    for (const [environmentId, { keys, organization }] of this.#environments) {
      for (const [keyId, { requests }] of keys) {
        if (requests === 0) {
          keys.delete(keyId);
          this.#keys -= 1;
        }
      }
      if (keys.size === 0) {
        this.#environments.delete(environmentId);
        organization.environments -= 1;
      }
    }
    for (const [organizationId, { environments }] of this.#organizations) {
      if (environments === 0) {
        this.#organizations.delete(organizationId);
      }
    }
    this.#keysMax = Math.max(idleKeysMax, 2 * this.#keys);
  }
}
