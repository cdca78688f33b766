/*
 * The interceptors that each call of each protocol passes once: fields from headers, validation (protovalidate), the handler,
 * one line of log.
 *
 * - A protocol handler decodes the request message and encodes the reply. It decides nothing about the call.
 * - The chain throws only RequestError: a refusal as it is, DATABASE_UNAVAILABLE where the database cannot be reached, and
 *   SERVER_ERROR for any other error, which is logged once with its causes.
 */

import type { DescMethod, DescMethodServerStreaming, DescService, Message, MessageShape } from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { createValidator, type Violation } from "@bufbuild/protovalidate";
import type { Logger } from "pino";
import type { CallerContext } from "../../domain/caller-context.ts";
import type { Call, Invoke, InvokeStream } from "../../domain/http/call.ts";
import { type FieldViolation, RequestError } from "../../domain/request-error.ts";
import { compileChecks } from "./field-checks.ts";
import { HeaderFields } from "./header-fields.ts";

/** One handler for each method of a service. A stream ends, with or without an error, when `call.signal` aborts. */
export type ServiceHandlers<S extends DescService> = {
  readonly [P in keyof S["method"]]: (
    request: MessageShape<S["method"][P]["input"]>,
    call: Call,
  ) => S["method"][P] extends DescMethodServerStreaming
    ? AsyncIterable<MessageShape<S["method"][P]["output"]>>
    : Promise<MessageShape<S["method"][P]["output"]>>;
};

/** A service with its handlers. */
export type Implementation = { readonly service: DescService; readonly handlers: ReadonlyMap<DescMethod, Handler> };

type Handler = (request: Message, call: Call) => Promise<Message> | AsyncIterable<Message>;

/** The chain for unary methods, and the chain for those that answer a stream. */
export type Chain = { readonly invoke: Invoke; readonly invokeStream: InvokeStream };

/** Binds handlers to the methods of their service: each method's is in one of these objects. */
export function implement<S extends DescService>(
  service: S,
  ...handlers: readonly Partial<ServiceHandlers<S>>[]
): Implementation {
  const bound = service.methods.map((method): [DescMethod, Handler] => {
    for (const own of handlers) {
      // An object has a handler under its method's name, with that method's messages; a map over all methods cannot say so.
      const handler = (own as Readonly<Record<string, Handler | undefined>>)[method.localName];
      if (handler !== undefined) {
        return [method, handler.bind(own)];
      }
    }
    throw new Error(`${method.parent.typeName}.${method.name} has no handler`);
  });
  return { service, handlers: new Map(bound) };
}

export type ChainOptions = {
  readonly implementations: readonly Implementation[];
  /** Keeps the tenant of each call while its handler runs. */
  readonly callers: CallerContext;
  /** Whether the error means that the database cannot be reached. */
  readonly isUnavailable: (error: unknown) => boolean;
  readonly log: Logger;
};

/** A method with its handler, and with all that depends on the method alone. */
type BoundMethod = {
  readonly handler: Handler;
  readonly headers: HeaderFields;
  /** Whether a request is surely valid. */
  readonly isValid: (request: Message) => boolean;
};

/** Builds the chain over the given services. */
export function createChain({ implementations, callers, isUnavailable, log }: ChainOptions): Chain {
  const bound = new Map<DescMethod, BoundMethod>();
  for (const [method, handler] of implementations.flatMap(({ handlers }) => [...handlers])) {
    const { input } = method;
    bound.set(method, { handler, headers: new HeaderFields(input), isValid: compileChecks(input) });
  }
  const validator = createValidator();

  /** Validates the request and calls the handler. */
  const begin = (method: DescMethod, request: Message, call: Call): ReturnType<Handler> => {
    const known = bound.get(method);
    if (known === undefined) {
      throw new RequestError("ROUTE_NOT_FOUND", `${method.name} is not served here.`);
    }
    const { handler, headers, isValid } = known;
    headers.fill(request, call.headers);
    if (!isValid(request)) {
      const result = validator.validate(method.input, request);
      if (result.kind === "error") {
        throw result.error;
      }
      if (result.kind === "invalid") {
        throw violationError(headers, result.violations);
      }
    }
    const { principal } = call;
    return principal === undefined ? handler(request, call) : callers.run(principal, handler, request, call);
  };

  const refuse = (error: unknown, method: DescMethod, call: Call): RequestError => {
    const { requestId } = call;
    const refusal = callRefusal(error, isUnavailable);
    call.refusal = refusal;
    const level = refusal.reason === "SERVER_ERROR" ? "error" : "debug";
    log[level]({ rpc: method.name, requestId, reason: refusal.reason, err: error }, "call refused");
    return refusal;
  };

  return {
    invoke: async (method, request, call) => {
      const started = performance.now();
      try {
        const reply = begin(method, request, call);
        if (Symbol.asyncIterator in reply) {
          throw new Error(`${method.name} streams`);
        }
        const message = await reply;
        log.debug({ rpc: method.name, requestId: call.requestId, ms: performance.now() - started }, "call answered");
        return message;
      } catch (error) {
        throw refuse(error, method, call);
      }
    },
    invokeStream: async function* (method, request, call) {
      const started = performance.now();
      try {
        const replies = begin(method, request, call);
        if (!(Symbol.asyncIterator in replies)) {
          throw new Error(`${method.name} does not stream`);
        }
        yield* call.principal === undefined ? replies : callers.each(call.principal, replies);
        // A stream that the server ends with a reason may look complete, and must not.
        if (call.signal.reason instanceof RequestError) {
          throw call.signal.reason;
        }
        log.debug({ rpc: method.name, requestId: call.requestId, ms: performance.now() - started }, "call answered");
      } catch (error) {
        const { aborted, reason } = call.signal;
        if (!aborted) {
          throw refuse(error, method, call);
        }
        if (reason instanceof RequestError) {
          throw refuse(reason, method, call);
        }
      }
    },
  };
}

/** The refusal for an error: a RequestError as it is, DATABASE_UNAVAILABLE, or SERVER_ERROR. */
export function callRefusal(error: unknown, isUnavailable: (error: unknown) => boolean): RequestError {
  if (error instanceof RequestError) {
    return error;
  }
  if (isUnavailable(error)) {
    return RequestError.of("DATABASE_UNAVAILABLE", { retryAfterSeconds: 1, cause: error });
  }
  return RequestError.of("SERVER_ERROR", { cause: error });
}

function violationError(headers: HeaderFields, violations: readonly Violation[]): RequestError {
  const fields = violations.map((violation): FieldViolation => {
    const field = pathToString(violation.field);
    const hint = headers.hint(field);
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
