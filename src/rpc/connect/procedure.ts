import type { DescMethod } from "@bufbuild/protobuf";
import type { Call } from "../../domain/http/call.ts";
import type { HttpExchange, RequestHead, Route } from "../../domain/http/protocol-handler.ts";
import type { Limits } from "../../domain/limits.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { Scope } from "../../gen/flowcall/v1/options_pb.ts";
import type { Chain } from "../chain/handler-chain.ts";
import { isLarge } from "../chain/large-message.ts";
import { readProtocolHeaders } from "./protocol-headers.ts";
import { writeRefusal } from "./refusal.ts";
import { readRequestMessage } from "./request-message.ts";
import { allowedMethods, type RpcFormat, rpcFormat } from "./rpc-format.ts";
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

type ProcedureOptions = {
  readonly method: DescMethod;
  readonly access: Scope | "public";
  readonly serve: Serve;
};

/** One method at its path: finds the format of a request, has it served, and writes the refusal where it is refused. */
export class Procedure {
  readonly #options: ProcedureOptions;

  constructor(options: ProcedureOptions) {
    this.#options = options;
  }

  /** Throws RequestError where the request speaks none of the protocols. */
  route(head: RequestHead): Route {
    const { method, access } = this.#options;
    if (head.method === "OPTIONS") {
      return optionsRoute(allowedMethods(method));
    }
    const format = rpcFormat(method, head);
    return {
      access,
      protocol: format.protocol,
      name: head.path,
      isStream: method.methodKind !== "unary",
      serve: (exchange, call) => this.#serve({ head, format, exchange, call }),
      refuse: async (exchange, call, error) => writeRefusal(error, { exchange, format, call }),
    };
  }

  async #serve(request: RpcRequest): Promise<void> {
    try {
      await this.#options.serve(request);
    } catch (error) {
      if (!(error instanceof RequestError) || request.exchange.response.headersSent) {
        throw error;
      }
      writeRefusal(error, request);
    }
  }
}

function optionsRoute(allow: string): Route {
  const serve = async ({ response }: HttpExchange): Promise<void> => {
    response.statusCode = 204;
    response.setHeader("allow", allow);
    response.end();
  };
  return { access: "public", protocol: "connect", serve, refuse: serve };
}

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
