import type { Tenant } from "../../domain/account.ts";
import type { Principal } from "../../domain/principal.ts";
import type { RequestError } from "../../domain/request-error.ts";
import type { Connection } from "../connections/address-connections.ts";
import type { Admission, KeyUse } from "./admission.ts";
import { type MemoryUse, memoryRefusal, startRefusal } from "./usage-refusals.ts";

/** The phases of an authenticated call, in their order. */
const phases = { active: 0, waiting: 1, replied: 2, closed: 3 } as const;

/** Whom requests without a key take turns as. */
const keyless: Tenant = { organizationId: "", environmentId: "" };

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

  /** Waits for a slice of the event loop, for work that takes long at once. */
  async nextSlice(): Promise<void> {
    await this.#admission.nextSlice(this.principal ?? keyless);
  }

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
