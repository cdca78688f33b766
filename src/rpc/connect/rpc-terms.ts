import type { RequestHead } from "../../domain/http/protocol-handler.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { RpcFormat } from "./rpc-format.ts";

/** What the headers of a call say beside its format. */
export type RpcTerms = {
  /** Whether an envelope's message may be packed with gzip. */
  readonly isPacked: boolean;
  /** How long the caller waits; absent where it does not say. */
  readonly timeoutMs?: number;
};

/** Callers that mean "for ever" send the largest number there is, which no timer takes. */
const timeoutMsMax = 24 * 3_600_000;

/** Throws RequestError for what Connect's handlers would refuse without a reason. */
export function rpcTerms(head: RequestHead, format: RpcFormat): RpcTerms {
  const isPacked = format.isEnveloped && isGzip(head, format);
  const timeoutMs = format.protocol === "connect" ? connectTimeout(head) : grpcTimeout(head);
  return timeoutMs === undefined ? { isPacked } : { isPacked, timeoutMs: Math.min(timeoutMs, timeoutMsMax) };
}

/** A header that may be sent once. */
function single({ headers }: RequestHead, name: string): string | undefined {
  const [value, ...others] = headers.get(name) ?? [];
  if (others.length > 0) throw headerRefused(name, "is sent more than once; send it once");
  return value;
}

function isGzip(head: RequestHead, { protocol }: RpcFormat): boolean {
  const isConnect = protocol === "connect";
  const name = isConnect ? "connect-content-encoding" : "grpc-encoding";
  const encoding = single(head, name) ?? "identity";
  if (encoding === "gzip") return true;
  if (encoding === "identity") return false;
  throw new RequestError(
    "UNSUPPORTED_MEDIA_TYPE",
    `The ${name} "${encoding}" is not known; send messages as they are, or with gzip.`,
    {
      metadata: { header: name, encoding },
      // The document "Compression" of gRPC: the refusal says what is taken.
      headers: { [isConnect ? "connect-accept-encoding" : "grpc-accept-encoding"]: "identity,gzip" },
    },
  );
}

function connectTimeout(head: RequestHead): number | undefined {
  const name = "connect-timeout-ms";
  const text = single(head, name);
  if (text === undefined) return undefined;
  if (!/^\d{1,10}$/.test(text)) throw headerRefused(name, "must be milliseconds in at most ten digits");
  return Number(text);
}

function grpcTimeout(head: RequestHead): number | undefined {
  const name = "grpc-timeout";
  const text = single(head, name);
  if (text === undefined) return undefined;
  const [, digits, unit = ""] = /^(\d{1,8})([HMSmun])$/.exec(text) ?? [];
  const unitMs = units.get(unit);
  if (unitMs === undefined)
    throw headerRefused(name, "must be at most eight digits and one of the units H, M, S, m, u, n");
  return Number(digits) * unitMs;
}

const units: ReadonlyMap<string, number> = new Map([
  ["H", 3_600_000],
  ["M", 60_000],
  ["S", 1_000],
  ["m", 1],
  ["u", 1e-3],
  ["n", 1e-6],
]);

function headerRefused(header: string, problem: string): RequestError {
  return new RequestError("VALIDATION_ERROR", `The header ${header} ${problem}.`, { metadata: { header } });
}
