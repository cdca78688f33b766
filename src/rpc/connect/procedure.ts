import type { DescMethod } from "@bufbuild/protobuf";
import type { HttpExchange, RequestHead, Route } from "../../domain/http/protocol-handler.ts";
import { RequestError } from "../../domain/request-error.ts";
import type { Scope } from "../../gen/flowcall/v1/options_pb.ts";
import { writeRefusal } from "./refusal.ts";
import { allowedMethods, rpcFormat } from "./rpc-format.ts";
import type { RpcRequest, Serve } from "./unary-call.ts";

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
