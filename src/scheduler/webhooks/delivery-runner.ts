import { createHmac } from "node:crypto";
import type { Logger } from "pino";
import { Webhook } from "standardwebhooks";
import type { Clock } from "../../domain/clock.ts";
import type { Service } from "../../domain/service.ts";
import type { WebhookSecrets } from "../../domain/webhooks/webhook.ts";
import type { HttpClient } from "../../engine/http/http-client.ts";
import { HttpFailure } from "../../engine/http/http-failure.ts";
import type { HttpAnswer } from "../../engine/http/http-request.ts";
import { retryAfterMs } from "../../engine/nodes/retry-after.ts";
import type { AttemptResult, DeliveryStore, DueDelivery } from "../../storage/webhooks/delivery-store.ts";
import type { WatchedEnvironments } from "../../storage/webhooks/watched-environments.ts";
import type { Sealing } from "../encryption/sealing.ts";
import { openWebhookSecrets } from "../encryption/webhook-secrets.ts";
import { PeriodicTask } from "../process/periodic-task.ts";
import { webhookPayload } from "./webhook-payload.ts";

const everyMs = 1_000;
const clearEveryMs = 60_000;
const clearMax = 1_000;

/** Requests at the same time: of this process, and to one endpoint, so that one that hangs leaves room for others. */
const atOnceMax = 200;
const perEndpointMax = 10;

const timeoutMs = 10_000;

/** A process that dies with a request leaves its delivery to others after this long. */
const holdMs = 30_000;

/** The delay before the second try, the third, and so on. */
const delaysMs = [5_000, 30_000, 120_000, 600_000, 1_800_000, 7_200_000, 21_600_000, 43_200_000] as const;

const answerBytesMax = 1024 * 1024;
const keptChars = 4_096;

export type DeliveryRunnerOptions = {
  readonly deliveries: DeliveryStore;
  readonly watchedEnvironments: WatchedEnvironments;
  readonly http: Pick<HttpClient, "send">;
  readonly sealing: Sealing;
  readonly retentionMs: number;
  readonly clock: Clock;
  readonly log: Logger;
};

/**
 * Tells endpoints of the ends of executions, from the outbox that the ends have filled. All processes do, and each delivery is
 * made until it is answered with 2xx, at least once. It also learns which environments have endpoints.
 */
export class DeliveryRunner implements Service {
  readonly #options: DeliveryRunnerOptions;
  readonly #task: PeriodicTask;
  readonly #underWay = new Set<Promise<void>>();
  readonly #perEndpoint = new Map<string, number>();
  readonly #stopping = new AbortController();
  #dueInMs: number | undefined;
  #clearTime = 0;

  constructor(options: DeliveryRunnerOptions) {
    const { clock, log } = options;
    this.#options = options;
    const runOnce = () => this.#runOnce();
    this.#task = new PeriodicTask({ name: "webhooks", everyMs, runOnce, dueInMs: () => this.#dueInMs, clock, log });
  }

  async start(): Promise<void> {
    await this.#task.start();
  }

  /** An endpoint was put. */
  wake(): void {
    this.#task.wake();
  }

  /** Aborts the requests under way: their deliveries are made again. */
  async stop(): Promise<void> {
    await this.#task.stop();
    this.#stopping.abort();
    await Promise.all(this.#underWay);
  }

  async #runOnce(): Promise<void> {
    const { deliveries, watchedEnvironments, retentionMs: ms, clock } = this.#options;
    await watchedEnvironments.refresh();
    const room = atOnceMax - this.#underWay.size;
    const busy = [...this.#perEndpoint].flatMap(([key, count]) => (count >= perEndpointMax ? [key] : []));
    const due = room > 0 ? await deliveries.take({ limit: room, perEndpoint: perEndpointMax, busy, holdMs }) : [];
    for (const delivery of due) {
      this.#begin(delivery);
    }
    if (clock.monotonic() >= this.#clearTime) {
      this.#clearTime = clock.monotonic() + clearEveryMs;
      await deliveries.clear({ ms, limit: clearMax });
    }
    // One that is due and was left for others, or for later, is no reason to hurry.
    const dueInMs = await deliveries.dueInMs();
    this.#dueInMs = dueInMs === undefined || dueInMs <= 0 ? undefined : dueInMs;
  }

  #begin(delivery: DueDelivery): void {
    const key = `${delivery.environmentId}/${delivery.endpointId}`;
    this.#perEndpoint.set(key, (this.#perEndpoint.get(key) ?? 0) + 1);
    const made = this.#deliver(delivery).finally(() => {
      this.#underWay.delete(made);
      const left = (this.#perEndpoint.get(key) ?? 1) - 1;
      left > 0 ? this.#perEndpoint.set(key, left) : this.#perEndpoint.delete(key);
      this.#task.wake();
    });
    this.#underWay.add(made);
  }

  async #deliver(delivery: DueDelivery): Promise<void> {
    const { deliveries, log } = this.#options;
    const { environmentId, endpointId, id, attempts } = delivery;
    try {
      const result = await this.#attempt(delivery);
      if (!this.#stopping.signal.aborted) {
        await deliveries.settle({ environmentId, endpointId, id, attempts, ...result });
      }
    } catch (error) {
      // It is held for a while, and then made again.
      log.warn(
        { endpoint: endpointId, delivery: id, err: error },
        "what came of a webhook delivery could not be recorded",
      );
    }
  }

  async #attempt(delivery: DueDelivery): Promise<Result> {
    const { http, sealing, clock } = this.#options;
    const { environmentId, url, settings, ended, attempts } = delivery;
    const secrets = openWebhookSecrets(sealing, delivery, delivery);
    if (ended === null || secrets === undefined) {
      const error =
        ended === null ? "The execution has been deleted." : "No encryption key opens the endpoint's secret.";
      return { isDelivered: false, error, ...(ended !== null && nextOf(attempts, 0)) };
    }
    const body = webhookPayload(delivery, ended);
    try {
      const headers = headersOf(delivery, { secrets, body, now: clock.now() });
      const { method } = settings;
      const limits = { timeoutMs, redirectsMax: 0, answerBytesMax };
      const answer = await http.send({
        environmentId,
        url,
        method,
        headers,
        body,
        ...limits,
        signal: this.#stopping.signal,
      });
      return resultOf(answer, attempts, clock.now());
    } catch (error) {
      if (!(error instanceof HttpFailure)) {
        throw error;
      }
      return {
        isDelivered: false,
        error: `${error.reason}: ${error.message}`.slice(0, keptChars),
        ...nextOf(attempts, 0),
      };
    }
  }
}

type Result = Pick<AttemptResult, "isDelivered" | "nextMs" | "status" | "error" | "answer" | "disableReason">;

/** Signed as https://github.com/standard-webhooks/standard-webhooks says: by both secrets for a while after a rotation. */
function headersOf(
  { id, settings }: DueDelivery,
  { secrets, body, now }: { readonly secrets: WebhookSecrets; readonly body: string; readonly now: number },
): readonly (readonly [string, string])[] {
  const { secret, previous, headers } = secrets;
  const valid = [secret, ...(previous !== undefined && previous.until > now ? [previous.secret] : [])];
  const time = new Date(now);
  const cobalt = () => createHmac("sha256", secret).update(body).digest("hex");
  return [
    ...headers,
    ["content-type", "application/json"],
    ["user-agent", "Flowcall-Webhooks"],
    ["webhook-id", id],
    ["webhook-timestamp", String(Math.floor(now / 1000))],
    ["webhook-signature", valid.map((one) => new Webhook(one).sign(id, time, body)).join(" ")],
    ...(settings.hasCobaltSignature ? ([["x-cobalt-signature", cobalt()]] as const) : []),
  ];
}

function resultOf({ status, headers, body }: HttpAnswer, attempts: number, now: number): Result {
  const isDelivered = status >= 200 && status < 300;
  const answer = Buffer.from(body)
    .toString("utf8", 0, keptChars)
    .replaceAll("\0", "")
    .slice(0, keptChars)
    .toWellFormed();
  const told = { isDelivered, status, answer };
  if (isDelivered) {
    return told;
  }
  if (status === 410) {
    return { ...told, disableReason: "The endpoint has answered 410." };
  }
  const retryAfter = headers["retry-after"];
  return { ...told, ...nextOf(attempts, typeof retryAfter === "string" ? retryAfterMs(retryAfter, now) : 0) };
}

/** Exponential backoff with jitter; nothing once all tries are made. */
function nextOf(attempts: number, leastMs: number): Pick<AttemptResult, "nextMs"> {
  const delayMs = delaysMs[attempts - 1];
  return delayMs === undefined ? {} : { nextMs: Math.max(delayMs * (0.9 + 0.2 * Math.random()), leastMs) };
}
