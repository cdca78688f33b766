// The chain that every call of every protocol passes once: fields from headers, validation, the handler, one log line.
//
// A door decodes a request message and encodes the reply; nothing about a call is decided there. What a handler throws
// leaves the chain as a RequestError: a refusal as it is, an unreachable database as DATABASE_UNAVAILABLE, and anything
// else, logged once with its causes, as SERVER_ERROR with a neutral text.

import type { DescMessage, DescMethod, DescService, Message, MessageShape } from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { createValidator, type Violation } from "@bufbuild/protovalidate";
import type { Logger } from "pino";
import type { Call, Invoke } from "../domain/call.ts";
import { type FieldViolation, RequestError } from "../domain/request-error.ts";
import { fieldsFromHeaders, headerHint } from "./header-fields.ts";

/** One handler for each method of a service. */
export type ServiceHandlers<S extends DescService> = {
  readonly [P in keyof S["method"]]: (
    request: MessageShape<S["method"][P]["input"]>,
    call: Call,
  ) => Promise<MessageShape<S["method"][P]["output"]>>;
};

/** A service with its handlers, as the chain and the Connect door take it. */
export type Implementation = { readonly service: DescService; readonly handlers: ReadonlyMap<DescMethod, Handler> };

type Handler = (request: Message, call: Call) => Promise<Message>;

/** Binds handlers to the methods of their service. */
export function implement<S extends DescService>(service: S, handlers: ServiceHandlers<S>): Implementation {
  const byName: Readonly<Record<string, unknown>> = handlers;
  const bound = service.methods.flatMap((method): [DescMethod, Handler][] => {
    const handler = byName[method.localName];
    // The type of `handlers` ties each handler to its method's messages; a map over all methods cannot say so.
    return typeof handler === "function" ? [[method, handler as Handler]] : [];
  });
  return { service, handlers: new Map(bound) };
}

export type ChainOptions = {
  readonly implementations: readonly Implementation[];
  /** Whether an error means that the database cannot be reached. */
  readonly isUnavailable: (error: unknown) => boolean;
  readonly log: Logger;
};

/** Builds the chain over the given services. */
export function createChain({ implementations, isUnavailable, log }: ChainOptions): Invoke {
  const handlers = new Map(implementations.flatMap((implementation) => [...implementation.handlers]));
  const validator = createValidator();

  const validate = (schema: DescMessage, message: Message): void => {
    const result = validator.validate(schema, message);
    if (result.kind === "error") throw result.error;
    if (result.kind === "invalid") throw violationError(schema, result.violations);
  };

  return async (method, request, call) => {
    const started = performance.now();
    try {
      const handler = handlers.get(method);
      if (handler === undefined) throw new RequestError("ROUTE_NOT_FOUND", `${method.name} is not served here.`);
      fieldsFromHeaders(method.input, request, call.headers);
      validate(method.input, request);
      const reply = await handler(request, call);
      log.debug({ rpc: method.name, requestId: call.requestId, ms: performance.now() - started }, "call answered");
      return reply;
    } catch (error) {
      const refusal = refusalOf(error, isUnavailable);
      const level = refusal.reason === "SERVER_ERROR" ? "error" : "debug";
      log[level]({ rpc: method.name, requestId: call.requestId, reason: refusal.reason, err: error }, "call refused");
      throw refusal;
    }
  };
}

/** What a caller is told of an error: a refusal as it is, the database's absence, or that the fault is ours. */
export function refusalOf(error: unknown, isUnavailable: (error: unknown) => boolean): RequestError {
  if (error instanceof RequestError) return error;
  if (isUnavailable(error)) {
    return new RequestError("DATABASE_UNAVAILABLE", "The database cannot be reached at the moment. Try again.", {
      retryAfterSeconds: 1,
      cause: error,
    });
  }
  return new RequestError("SERVER_ERROR", "Something went wrong on our side. Please quote the request id.", {
    cause: error,
  });
}

function violationError(schema: DescMessage, violations: readonly Violation[]): RequestError {
  const fields = violations.map((violation): FieldViolation => {
    const field = pathToString(violation.field);
    const hint = headerHint(schema, field);
    const missing = violation.ruleId === "required" && hint !== undefined;
    return {
      field,
      description: missing ? `is required: send the header ${hint}` : violation.message,
      rule: violation.ruleId,
    };
  });
  const text = fields.map(({ field, description }) => `${field} ${description}`).join("; ");
  return new RequestError("VALIDATION_ERROR", `${text}.`, { violations: fields });
}
