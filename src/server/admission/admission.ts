import { type Tenant, turnOfTenant } from "../../domain/account.ts";
import { EventLoopYielder } from "../../domain/event-loop-yielder.ts";
import type { Principal } from "../../domain/principal.ts";
import type { RequestError } from "../../domain/request-error.ts";
import type { Connection } from "../connections/address-connections.ts";
import type { ServerLimits } from "../limits/server-limits.ts";
import { callRefusal, type MemoryUse, memoryRefusal, startRefusal } from "./usage-refusals.ts";

/** So many keys may be remembered without a request of theirs in flight. */
const idleKeysMax = 1_024;

/** The share of one iteration of the event loop in which authenticated requests start and large replies are written. */
const sliceMs = 5;

type OrganizationUse = { bytes: number; environments: number };

type EnvironmentUse = {
  readonly organization: OrganizationUse;
  readonly keys: Map<string, KeyUse>;
  active: number;
  waiting: number;
};

/** The use by all requests of one key. */
type KeyUse = { readonly environment: EnvironmentUse; requests: number; bytes: number };

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
  readonly #turns = new EventLoopYielder({ sliceMs });
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

  constructor(limits: ServerLimits) {
    this.limits = limits;
    const { bodyBytesMax, keyBodyBytesMax, connectionBodyBytesMax } = limits;
    this.bytesUnlimited = Math.min(bodyBytesMax / 3, keyBodyBytesMax / 2, connectionBodyBytesMax / 2);
  }

  /** Settles when it is the tenant's turn; undefined: at once. */
  take(tenant: Tenant): Promise<void> | undefined {
    return this.#turns.yieldIfOver(turnOfTenant(tenant));
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

/** The phases of an authenticated call, in their order. */
const phases = { active: 0, waiting: 1, replied: 2, closed: 3 } as const;

/** The share of the server that one request takes. It is released phase by phase, and each phase but the last may be left out. */
export class RequestTicket {
  readonly #admission: Admission;
  readonly #connection: Connection;
  #phase: keyof typeof phases = "active";
  #use: KeyUse | undefined;
  #isServing = false;
  /** Memory for the body, and for the reply with the part of it that is reserved and not written yet. */
  #body = 0;
  #reply = 0;
  #reserved = 0;
  /** Undefined for callers without a key: the number of their requests is limited instead. */
  principal: Principal | undefined;

  constructor(admission: Admission, connection: Connection) {
    this.#admission = admission;
    this.#connection = connection;
  }

  /**
   * Admits a call. Settles when it is its tenant's turn; undefined: at once. Throws RequestError if a limit is reached: then
   * the call has no reply but that error.
   */
  admit(principal: Principal): Promise<void> | undefined {
    this.principal = principal;
    this.#use = this.#admission.takeCall(principal);
    const turn = this.#admission.take(principal);
    if (turn !== undefined) {
      return this.#admission.queue(turn, this.#connection.address).then(() => this.#requireMemory());
    }
    if (this.#admission.bytes > this.#admission.bytesUnlimited) {
      this.#requireMemory();
    }
    return undefined;
  }

  /** The request is being served from now on. */
  serve(): void {
    this.#isServing = true;
    this.#connection.serving += 1;
  }

  /**
   * Moves on to a phase. A call that waits for an event counts towards another limit, and its body has been used; one that
   * is replied to uses no more than its reply, until the client has read that.
   */
  moveTo(phase: keyof typeof phases): void {
    const before = this.#phase;
    if (phases[phase] <= phases[before]) {
      return;
    }
    this.#phase = phase;
    this.#release(this.#body);
    this.#body = 0;
    const { environment } = this.#use ?? {};
    if (environment !== undefined && before === "active") {
      this.#admission.calls -= 1;
      environment.active -= 1;
    } else if (environment !== undefined && before === "waiting") {
      environment.waiting -= 1;
    }
    if (environment !== undefined && phase === "waiting") {
      environment.waiting += 1;
    }
    if (phase === "closed") {
      this.#close();
    }
  }

  #close(): void {
    this.#release(this.#reply);
    this.#reply = 0;
    if (this.#isServing) {
      this.#connection.serving -= 1;
    }
    if (this.#use !== undefined) {
      this.#use.requests -= 1;
      this.#use = undefined;
    }
  }

  /** `Call.onWait`. */
  readonly wait = (): void => this.moveTo("waiting");

  /** `Call.turn`. */
  readonly turn = (): Promise<void> | undefined =>
    this.principal === undefined ? undefined : this.#admission.take(this.principal);

  /** `Call.reserveReply`: reserves memory before a reply is read. Throws RequestError if it is too large. */
  readonly reserveReply = (bytes: number): void => {
    const more = Math.max(0, bytes - this.#reserved);
    this.#add(more);
    this.#reply += more;
    this.#reserved += more;
  };

  /** Adds bytes of the body. Throws RequestError if they are too many. */
  addBody(bytes: number): void {
    this.#add(bytes);
    this.#body += bytes;
  }

  /** Adds bytes of the reply until the client has read them. Throws RequestError if they are too many. */
  addReply(bytes: number): void {
    const reserved = Math.min(bytes, this.#reserved);
    this.#add(bytes - reserved);
    this.#reply += bytes - reserved;
    this.#reserved -= reserved;
  }

  /** Releases bytes of the reply that the client has read. */
  releaseReply(bytes: number): void {
    this.#release(bytes);
    this.#reply -= bytes;
  }

  #add(bytes: number): void {
    if (this.#admission.bytes + bytes > this.#admission.bytesUnlimited) {
      throwIfAny(memoryRefusal(this.#memoryUse(), bytes, this.#admission.limits));
    }
    this.#release(-bytes);
  }

  #release(bytes: number): void {
    if (this.#use === undefined) {
      return;
    }
    this.#admission.bytes -= bytes;
    this.#use.environment.organization.bytes -= bytes;
    this.#use.bytes -= bytes;
    this.#connection.bytes -= bytes;
  }

  /** Throws RequestError if the request would be handled in vain, because its reply would not fit. */
  #requireMemory(): void {
    throwIfAny(startRefusal(this.#memoryUse(), this.#admission.limits));
  }

  #memoryUse(): MemoryUse {
    return {
      total: this.#admission.bytes,
      owner: this.#use && { organization: this.#use.environment.organization.bytes, key: this.#use.bytes },
      connection: this.#connection.bytes,
      own: this.#body + this.#reply,
    };
  }
}

function throwIfAny(refusal: RequestError | undefined): void {
  if (refusal !== undefined) {
    throw refusal;
  }
}
