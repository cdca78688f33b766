import { FlowcallError } from "./flowcall-error.ts";
import type { Json } from "./types.ts";

/** A request, and for how long it is repeated. */
export type Request = {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body?: string;
  readonly signal?: AbortSignal | undefined;
};

/** Where a client sends its requests, and for how many milliseconds it repeats one that gets no answer. */
export type Target = {
  readonly url: string;
  readonly key: string;
  readonly retryMs: number;
  readonly fetch: typeof fetch;
};

const firstPauseMs = 100;
const pauseMaxMs = 10_000;

/** What says nothing of the call itself: too much at once, or a server or proxy that is away. */
const passing: readonly number[] = [429, 502, 503, 504];

/**
 * Sends a request. It is repeated, with growing pauses, as long as nothing answers, or what answers says that it is to be
 * tried later. Throws FlowcallError for a refusal, and whatever `fetch` throws where nothing has answered to the end.
 */
export async function send(target: Target, request: Request): Promise<Response> {
  const endTime = Date.now() + target.retryMs;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, pauseMaxMs)) {
    const reply = await sendOnce(target, request).catch((error: unknown) => {
      request.signal?.throwIfAborted();
      return error;
    });
    if (reply instanceof Response) {
      // What is about an execution is an answer, whatever status its workflow sets.
      if (reply.ok || reply.headers.has("x-execution-status")) {
        return reply;
      }
      if (!passing.includes(reply.status)) {
        throw await refusalOf(reply);
      }
    }
    const nextMs = Math.max(pauseMs * (0.5 + Math.random()), askedPauseMs(reply));
    if (Date.now() + nextMs > endTime) {
      throw reply instanceof Response ? await refusalOf(reply) : reply;
    }
    await (reply instanceof Response ? reply.body?.cancel() : undefined);
    await pause(nextMs, request.signal);
  }
}

async function sendOnce({ url, key, fetch }: Target, { method, path, headers, body, signal }: Request) {
  const given = Object.entries({ ...headers, "x-api-key": key }).filter((header) => header[1] !== undefined);
  return await fetch(`${url}/api/v1${path}`, {
    method,
    headers: Object.fromEntries(given) as Record<string, string>,
    ...(body !== undefined && { body }),
    ...(signal && { signal }),
  });
}

async function refusalOf(reply: Response): Promise<FlowcallError> {
  return new FlowcallError(reply.status, (await objectOf(reply).catch(() => undefined)) ?? {});
}

/** The JSON object that a server answers. Undefined for anything else: a proxy's page. */
export async function objectOf(reply: Response): Promise<{ readonly [field: string]: Json } | undefined> {
  const body: unknown = await reply.json();
  // JSON.parse makes nothing else of an object.
  return typeof body === "object" && body !== null ? (body as { readonly [field: string]: Json }) : undefined;
}

/** What `Retry-After` asks for. */
function askedPauseMs(reply: unknown): number {
  const seconds = reply instanceof Response ? Number(reply.headers.get("retry-after")) : 0;
  return Number.isFinite(seconds) ? 1_000 * seconds : 0;
}

/** Throws the signal's reason when it is aborted. */
export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
