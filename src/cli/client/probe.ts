const probeMs = 5_000;

/** The result of a health check. */
export type Probed = {
  readonly state: "ready" | "not ready" | "unreachable" | "no Flowcall server";
  /** The cause, where the server is unreachable or not ready. */
  readonly reason?: string;
  /** The version of a server that is ready. */
  readonly version?: string;
  /** The server's clock minus this machine's clock, in milliseconds. */
  readonly skewMs?: number;
};

/** Calls `/healthz` or `/readyz`, which need no key. */
export async function probe(url: string, path: string): Promise<Probed> {
  try {
    const response = await fetch(`${url}${path}`, { signal: AbortSignal.timeout(probeMs), redirect: "manual" });
    const body: unknown = await response.json().catch(() => undefined);
    const { status, cause, version }: { status?: unknown; cause?: unknown; version?: unknown } = Object(body);
    const isOurs = typeof status === "string" && (response.status === 200 || response.status === 503);
    const date = Date.parse(response.headers.get("date") ?? "");
    return {
      state: !isOurs ? "no Flowcall server" : response.status === 200 ? "ready" : "not ready",
      ...(isOurs && typeof cause === "string" && { reason: cause }),
      ...(isOurs && typeof version === "string" && { version }),
      ...(!Number.isNaN(date) && { skewMs: date - Date.now() }),
    };
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return { state: "unreachable", reason: cause instanceof Error ? cause.message : String(cause) };
  }
}
