import { type DescField, type DescMethod, type DescService, getOption, hasOption } from "@bufbuild/protobuf";
import { fieldByName } from "../domain/json/field-path.ts";
import { Scope, scope, takes_watch_token } from "../gen/flowcall/v1/options_pb.ts";
import { http } from "../gen/google/api/annotations_pb.ts";
import type { HttpRule } from "../gen/google/api/http_pb.ts";
import { type PathTemplate, parsePathTemplate } from "./path-template.ts";

/** One way to call a method over REST, by the `google.api.http` option of its proto file. */
export type HttpBinding = {
  readonly method: DescMethod;
  readonly scope: Scope;
  /** Whether a watch token in the query may replace the API key. */
  readonly takesWatchToken: boolean;
  /** As `POST`. */
  readonly verb: string;
  /** As `/api/v1/workflow/{workflow}`. */
  readonly path: string;
  readonly template: PathTemplate;
  /** `*` for the whole request message, a field's name, or empty where there is no body. */
  readonly body: string;
  /** The field of the reply message that is the whole reply; absent where the message itself is. */
  readonly responseField?: DescField;
};

/** The bindings of all methods that have any. Throws for a fault of the proto files, which a start of the process finds. */
export function httpBindings(services: readonly DescService[]): readonly HttpBinding[] {
  return services
    .flatMap((service) => service.methods)
    .filter((method) => hasOption(method, http))
    .flatMap((method) => {
      const rule = getOption(method, http);
      if (rule.additionalBindings.some((binding) => binding.additionalBindings.length > 0)) {
        throw new Error(`${nameOf(method)} has additional bindings inside additional bindings`);
      }
      return [rule, ...rule.additionalBindings].map((binding) => httpBinding(method, binding));
    });
}

function httpBinding(method: DescMethod, rule: HttpRule): HttpBinding {
  const name = nameOf(method);
  if (method.methodKind !== "unary" && method.methodKind !== "server_streaming") {
    throw new Error(`${name} takes a stream, which REST cannot send`);
  }
  if (!hasOption(method, scope) || getOption(method, scope) === Scope.UNSPECIFIED) {
    throw new Error(`${name} has no scope, so nobody could call it`);
  }
  const { verb, path } = pattern(name, rule);
  if (verb === "GET" && rule.body !== "") {
    throw new Error(`${name} has a body, and a GET takes none`);
  }
  if (method.methodKind === "server_streaming" && (verb !== "GET" || rule.responseBody !== "")) {
    throw new Error(`${name} answers a stream, so it must be a GET and each event a whole message`);
  }
  const responseField = rule.responseBody === "" ? undefined : fieldByName(method.output, rule.responseBody);
  if (rule.responseBody !== "" && responseField === undefined) {
    throw new Error(`${method.output.typeName} has no field ${rule.responseBody} to be the response_body`);
  }
  try {
    const template = parsePathTemplate(path);
    const takesWatchToken = getOption(method, takes_watch_token);
    const binding = { method, scope: getOption(method, scope), takesWatchToken, verb, path, template, body: rule.body };
    return responseField === undefined ? binding : { ...binding, responseField };
  } catch (cause) {
    throw new Error(`${name} cannot be served over REST`, { cause });
  }
}

function nameOf(method: DescMethod): string {
  return `${method.parent.typeName}.${method.name}`;
}

function pattern(name: string, { pattern }: HttpRule): { verb: string; path: string } {
  switch (pattern.case) {
    case undefined:
      throw new Error(`${name} has an HTTP rule without a path`);
    case "custom":
      return { verb: pattern.value.kind, path: pattern.value.path };
    default:
      return { verb: pattern.case.toUpperCase(), path: pattern.value };
  }
}
