import type { DescMethod } from "@bufbuild/protobuf";
import type { Call } from "../../domain/http/call.ts";
import type { HttpExchange, RequestHead } from "../../domain/http/protocol-handler.ts";
import type { Limits } from "../../domain/limits.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { Chain } from "../chain/handler-chain.ts";
import { isLarge } from "../chain/large-message.ts";
import { readProtocolHeaders } from "./protocol-headers.ts";
import { readRequestMessage } from "./request-message.ts";
import type { RpcFormat } from "./rpc-format.ts";
import { writeUnaryReply } from "./unary-reply.ts";

/** A request of one of the three protocols, for a method that is known. */
export type RpcRequest = {
  readonly head: RequestHead;
  readonly format: RpcFormat;
  readonly exchange: HttpExchange;
  readonly call: Call;
};

/** Serves a request. Settles when the reply is handed over. Throws RequestError for a refusal that is not written yet. */
export type Serve = (request: RpcRequest) => Promise<void>;

export type UnaryOptions = { readonly chain: Pick<Chain, "invoke">; readonly limits: Limits };

/** Serves a unary method over all three protocols: reads the message, calls the handler chain, writes the reply. */
export function serveUnary(method: DescMethod, { chain, limits }: UnaryOptions): Serve {
  const limit = { name: "transport_bytes", value: limits.transportBytesMax };
  return async ({ head, format, exchange, call }) => {
    const headers = readProtocolHeaders(head, format);
    const deadline = startDeadline(call, headers.timeoutMs);
    try {
      const { message } = await readRequestMessage({
        exchange,
        head,
        format,
        headers,
        schema: method.input,
        limits,
        limit,
      });
      const reply = await chain.invoke(method, message, deadline.call);
      if (isLarge(reply)) {
        await call.turn?.();
      }
      await writeUnaryReply(reply, { exchange, format, headers, call, schema: method.output, limits });
    } finally {
      deadline.end();
    }
  };
}

/** A call whose signal aborts at the caller's deadline too, until `end` is called. */
function startDeadline(call: Call, timeoutMs: number | undefined): { readonly call: Call; end(): void } {
  if (timeoutMs === undefined) {
    return { call, end: () => undefined };
  }
  const abort = new AbortController();
  const follow = () => abort.abort(call.signal.reason);
  if (call.signal.aborted) {
    follow();
  }
  call.signal.addEventListener("abort", follow, { once: true });
  const timer = setTimeout(() => abort.abort(deadlinePassed(timeoutMs)), timeoutMs);
  return {
    call: { ...call, signal: abort.signal, deadline: performance.now() + timeoutMs },
    end: () => {
      clearTimeout(timer);
      call.signal.removeEventListener("abort", follow);
    },
  };
}

function deadlinePassed(timeoutMs: number): RequestError {
  return new RequestError("REQUEST_TIMEOUT", `The call was not answered within its timeout of ${timeoutMs} ms.`, {
    metadata: { limit: "timeout", value: String(timeoutMs) },
  });
}
