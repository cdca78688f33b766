import type { RequestHead } from "../../domain/http/protocol-handler.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { RpcFormat } from "./rpc-format.ts";

/** The protocol's own headers of a call, beside its content-type. */
export type ProtocolHeaders = {
  /** Whether a message of the request may be compressed with gzip in its envelope. */
  readonly isGzip: boolean;
  /** Whether the caller takes messages that are compressed with gzip. */
  readonly acceptsGzip: boolean;
  /** How long the caller waits; absent where it does not say. */
  readonly timeoutMs?: number;
};

/** Callers that mean "for ever" send the largest number there is, which no timer takes. */
const timeoutMsMax = 24 * 3_600_000;

/** Throws RequestError for a header that is malformed, repeated, or names an unknown compression. */
export function readProtocolHeaders(head: RequestHead, format: RpcFormat): ProtocolHeaders {
  const isGzip = format.isEnveloped && isGzipRequest(head, format);
  const compression = { isGzip, acceptsGzip: acceptsGzip(head, format) ?? isGzip };
  const timeoutMs = format.protocol === "connect" ? connectTimeout(head) : grpcTimeout(head);
  return timeoutMs === undefined ? compression : { ...compression, timeoutMs: Math.min(timeoutMs, timeoutMsMax) };
}

/** A header that may be sent once. */
function single({ headers }: RequestHead, name: string): string | undefined {
  const [value, ...others] = headers.get(name) ?? [];
  if (others.length > 0) {
    throw headerRefused(name, "is sent more than once; send it once");
  }
  return value;
}

function isGzipRequest(head: RequestHead, { protocol }: RpcFormat): boolean {
  const isConnect = protocol === "connect";
  const name = isConnect ? "connect-content-encoding" : "grpc-encoding";
  const encoding = single(head, name) ?? "identity";
  if (encoding === "gzip") {
    return true;
  }
  if (encoding === "identity") {
    return false;
  }
  throw new RequestError(
    "UNSUPPORTED_MEDIA_TYPE",
    `The ${name} "${encoding}" is not known; send messages as they are, or with gzip.`,
    {
      metadata: { header: name, encoding },
      // gRPC asks for the supported encodings in this refusal: github.com/grpc/grpc/blob/master/doc/compression.md
      headers: { [isConnect ? "connect-accept-encoding" : "grpc-accept-encoding"]: "identity,gzip" },
    },
  );
}

/** Undefined where the caller does not say. Each protocol lists plain names, and no weights. */
function acceptsGzip({ headers }: RequestHead, { protocol, isEnveloped }: RpcFormat): boolean | undefined {
  const ofEnvelopes = protocol === "connect" ? "connect-accept-encoding" : "grpc-accept-encoding";
  const listed = headers.get(isEnveloped ? ofEnvelopes : "accept-encoding")?.join(",") ?? "";
  return listed === "" ? undefined : listed.split(",").some((name) => name.trim() === "gzip");
}

/** connectrpc.com/docs/protocol#unary-request: `Timeout-Milliseconds`. */
function connectTimeout(head: RequestHead): number | undefined {
  const name = "connect-timeout-ms";
  const text = single(head, name);
  if (text === undefined) {
    return undefined;
  }
  if (!/^\d{1,10}$/.test(text)) {
    throw headerRefused(name, "must be milliseconds in at most ten digits");
  }
  return Number(text);
}

/** github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests: `TimeoutValue TimeoutUnit`. */
function grpcTimeout(head: RequestHead): number | undefined {
  const name = "grpc-timeout";
  const text = single(head, name);
  if (text === undefined) {
    return undefined;
  }
  const [, digits, unit = ""] = /^(\d{1,8})([HMSmun])$/.exec(text) ?? [];
  const unitMs = units.get(unit);
  if (unitMs === undefined) {
    throw headerRefused(name, "must be at most eight digits and one of the units H, M, S, m, u, n");
  }
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
