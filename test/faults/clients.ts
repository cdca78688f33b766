import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { testKey } from "../support/flowcall.ts";

/** A reply, and how long it took in milliseconds. */
export type SeenReply = {
  readonly sentTime: number;
  readonly ms: number;
  readonly status: number;
  readonly retryAfter: string | null;
  readonly body: string;
  readonly id: string | undefined;
};

type Kind = { readonly workflow: string; readonly isSync: boolean; readonly hasKey: boolean };

const kinds: readonly Kind[] = [
  { workflow: "create-task", isSync: false, hasKey: true },
  { workflow: "create-task", isSync: true, hasKey: false },
  { workflow: "busy-task", isSync: false, hasKey: true },
  { workflow: "create-task", isSync: true, hasKey: true },
  { workflow: "busy-task", isSync: true, hasKey: false },
];

/** The least pause of a client that was refused. */
const pauseMs = 20;

/**
 * Callers that go on calling, each one call after the other, by turns of every kind. One that has a key repeats its call
 * until it is accepted; one that has none takes the refusal.
 */
export class Clients {
  readonly replies: SeenReply[] = [];
  /** The ids that each key was told. */
  readonly idsByKey = new Map<string, Set<string>>();
  readonly #url: string;
  readonly #calling: readonly Promise<void>[];
  #isStopping = false;
  #hasLeft = false;

  constructor(url: string, count: number) {
    this.#url = url;
    this.#calling = Array.from({ length: count }, (_, index) => this.#call(index));
  }

  /** Waits until all keys have got their ids. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#calling);
  }

  /** Goes away as it is, whatever has become of the service. */
  leave(): void {
    this.#isStopping = true;
    this.#hasLeft = true;
    for (const calling of this.#calling) {
      calling.catch(() => undefined);
    }
  }

  /** The calls sent since then that were answered with what came of them. */
  completedSince(time: number): readonly SeenReply[] {
    return this.replies.filter(
      ({ sentTime, status, body }) => sentTime > time && status === 200 && "return_value" in JSON.parse(body),
    );
  }

  get ids(): ReadonlySet<string> {
    return new Set(this.replies.flatMap(({ id }) => (id === undefined ? [] : [id])));
  }

  async #call(index: number): Promise<void> {
    for (let turn = index; !this.#isStopping; turn += 1) {
      const kind = kinds[turn % kinds.length];
      if (kind !== undefined) {
        await this.#callUntilTaken(kind);
      }
    }
  }

  async #callUntilTaken(kind: Kind): Promise<void> {
    const key = randomUUID();
    const ids = new Set<string>();
    if (kind.hasKey) {
      this.idsByKey.set(key, ids);
    }
    for (;;) {
      const reply = await this.#send(kind, key);
      this.replies.push(reply);
      if (reply.id !== undefined) {
        ids.add(reply.id);
      }
      if (reply.status === 503) {
        await pause(pauseMs);
      }
      if (reply.status !== 503 || !kind.hasKey || this.#hasLeft) {
        return;
      }
    }
  }

  async #send({ workflow, isSync, hasKey }: Kind, key: string): Promise<SeenReply> {
    const sentTime = performance.now();
    const reply = await fetch(`${this.#url}/api/v1/workflow/${workflow}/execute`, {
      method: "POST",
      headers: {
        "x-api-key": testKey,
        linked_account_id: "john@acme.io",
        sync_execution: String(isSync),
        ...(hasKey && { "idempotency-key": key }),
      },
    });
    const body = await reply.text();
    const id = reply.headers.get("x-execution-id") ?? Object(JSON.parse(body))["execution_id"];
    const { status, headers } = reply;
    return { sentTime, ms: performance.now() - sentTime, status, retryAfter: headers.get("retry-after"), body, id };
  }
}
