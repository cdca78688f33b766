// Makes the OpenAPI document from the proto files, the table of reasons, and the bindings that the gateway serves, so that
// none of them can differ from it.

import type { DescField, DescService, JsonObject } from "@bufbuild/protobuf";
import { getOption, hasOption } from "@bufbuild/protobuf";
import { fieldByName } from "../../domain/json/field-path.ts";
import { scopeWord } from "../../domain/keys/api-key.ts";
import { header as headerOption, Scope } from "../../gen/flowcall/v1/options_pb.ts";
import { type HttpBinding, httpBindings } from "../http-binding.ts";
import type { DocumentedForm } from "../v2/rest-form.ts";
import { restForms } from "../v2/rest-forms.ts";
import { errorSchema, refusals } from "./errors.ts";
import type { Examples } from "./examples.ts";
import { described, isRequired, Schemas } from "./schemas.ts";

export type OpenApiOptions = {
  readonly services: readonly DescService[];
  readonly version: string;
  /** The responses other than the whole message of a 200, by method name. */
  readonly replies: Readonly<Record<string, JsonObject>>;
  readonly examples: Examples;
};

/** The description of the REST API in OpenAPI 3.1 (spec.openapis.org/oas/v3.1.1). */
export function createOpenApi({ services, version, replies, examples }: OpenApiOptions): JsonObject {
  const schemas = new Schemas(services.flatMap(({ methods }) => methods.map(({ input }) => input)));
  schemas.all["Error"] = errorSchema;
  const paths: Record<string, Record<string, JsonObject>> = {};
  for (const binding of httpBindings(services)) {
    const path = binding.template.source.replaceAll(/=[^}]*}/g, "}");
    paths[path] ??= {};
    paths[path][binding.verb.toLowerCase()] = operation(binding, schemas, { replies, examples });
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Flowcall",
      version,
      summary: "Runs workflows when somebody calls an API.",
      description:
        "The same methods are served over gRPC (h2c), gRPC-Web and Connect, on the same port, by the names of their services. Every reply has the header `x-request-id`, and every reply about an execution `x-execution-id` and `x-execution-status`. A header given twice is refused; names with underscores may be written with hyphens.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    security: [{ key: [] }, { bearer: [] }],
    tags: services.map((service) => ({
      name: service.name,
      "x-displayName": headingOf(service.name),
      ...described(service.typeName),
    })),
    paths,
    components: {
      securitySchemes: {
        key: {
          type: "apiKey",
          in: "header",
          name: "x-api-key",
          description: "Selects the organisation and the environment: `tk…` test, `pk…` production.",
        },
        bearer: { type: "http", scheme: "bearer", description: "The same API key, as a bearer token." },
        watchToken: {
          type: "apiKey",
          in: "query",
          name: "watch_token",
          description: "A token of CreateWatchToken, for callers that cannot send headers. It is good for one stream.",
        },
      },
      schemas: Object.fromEntries(Object.entries(schemas.all).toSorted(([left], [right]) => (left < right ? -1 : 1))),
    },
  };
}

function operation(
  binding: HttpBinding,
  schemas: Schemas,
  { replies, examples }: Pick<OpenApiOptions, "replies" | "examples">,
): JsonObject {
  const { method, scope, takesWatchToken, body } = binding;
  const example = examples[method.name];
  const form = restForms.get(binding.path)?.documented;
  const parameters = withForm(form, parametersOf(binding, schemas, example?.parameters ?? {}));
  const description = described(`${method.parent.typeName}.${method.name}`).description ?? "";
  const neededKey =
    scope === Scope.ANY ? "a key, with whatever scopes" : `a key with the scope \`${scopeWord(scope)}\``;
  return {
    operationId: form?.operationId ?? method.localName,
    tags: [method.parent.name],
    summary: form?.summary ?? summaryOf(method.name),
    description: [description, form?.note, `Needs ${neededKey}.`].filter((part) => part).join("\n\n"),
    ...(takesWatchToken && { security: [{ key: [] }, { bearer: [] }, { watchToken: [] }] }),
    ...(parameters.length > 0 && { parameters }),
    ...(body !== "" && { requestBody: requestBody(binding, schemas, example?.body) }),
    responses:
      form === undefined
        ? { "200": okReply(binding, schemas, example?.reply), ...refusals(binding), ...replies[method.name] }
        : { ...refusals(binding), ...form.replies },
  };
}

/** The parameters of a binding with those of its form, which reads the whole query. */
function withForm(form: DocumentedForm | undefined, parameters: JsonObject[]): JsonObject[] {
  return form === undefined ? parameters : [...parameters.filter((own) => own["in"] !== "query"), ...form.parameters];
}

/** The tag of a service, as `Linked accounts` for LinkedAccountService. */
function headingOf(service: string): string {
  const words = summaryOf(service.replace(/Service$/, "")).replace("Api ", "API ");
  return words.endsWith("y") && !words.endsWith("ey") ? `${words.slice(0, -1)}ies` : `${words}s`;
}

/** The title of a method, as `Execute workflow` for ExecuteWorkflow. */
function summaryOf(name: string): string {
  return name.replaceAll(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function parametersOf(binding: HttpBinding, schemas: Schemas, examples: JsonObject): JsonObject[] {
  const { method, body } = binding;
  const inPath = pathFields(binding);
  return method.input.fields.flatMap((field): JsonObject[] => {
    const place = placeOf(field, inPath, body);
    if (place === undefined) {
      return [];
    }
    const { description, ...schema } = schemas.field(field);
    const { name, note } = place.in === "header" ? headerOf(field) : { name: field.jsonName, note: undefined };
    const text = [description, note].filter((part) => part !== undefined).join(" ");
    const example = examples[name];
    return [
      {
        name,
        in: place.in,
        ...(text !== "" && { description: text }),
        ...((place.in === "path" || isRequired(field)) && { required: true }),
        schema: place.in === "header" && note !== undefined ? { type: "string" } : schema,
        ...(example !== undefined && { example }),
      },
    ];
  });
}

/** The names of the fields that come from the path. */
function pathFields({ template }: HttpBinding): ReadonlySet<string | undefined> {
  return new Set(template.variables.map(({ fieldPath }) => fieldPath[0]));
}

/** The part of an HTTP request that a field comes from; undefined for the body. */
function placeOf(
  field: DescField,
  inPath: ReadonlySet<string | undefined>,
  body: string,
): { readonly in: "path" | "header" | "query" } | undefined {
  if (inPath.has(field.name)) {
    return { in: "path" };
  }
  if (hasOption(field, headerOption)) {
    return { in: "header" };
  }
  if (body === "*" || body === field.name || field.message?.typeName === "google.protobuf.Struct") {
    return undefined;
  }
  return { in: "query" };
}

function headerOf(field: DescField): { readonly name: string; readonly note: string | undefined } {
  const { name, preference } = getOption(field, headerOption);
  return { name, note: preference === undefined ? undefined : `Written as \`${preference}=N\` (RFC 7240).` };
}

function requestBody(binding: HttpBinding, schemas: Schemas, example: JsonObject | undefined): JsonObject {
  const { method, body } = binding;
  const inPath = pathFields(binding);
  const field = fieldByName(method.input, body);
  const schema =
    field === undefined
      ? schemas.object(
          method.input,
          method.input.fields.filter(({ name }) => !inPath.has(name)).filter((own) => !hasOption(own, headerOption)),
        )
      : schemas.field(field);
  return {
    content: { "application/json": { schema, ...(example !== undefined && { example }) } },
    ...(field !== undefined && isRequired(field) && { required: true }),
  };
}

function okReply(
  { method, responseField }: HttpBinding,
  schemas: Schemas,
  example: JsonObject | undefined,
): JsonObject {
  const schema = responseField === undefined ? schemas.message(method.output) : schemas.field(responseField);
  const description = described(method.output.typeName).description ?? "The reply.";
  if (method.methodKind === "server_streaming") {
    const note = "Server-sent events: the data of each is one message, as JSON.";
    return { description: `${description} ${note}`, content: { "text/event-stream": { schema } } };
  }
  return {
    description,
    content: { "application/json": { schema, ...(example !== undefined && { example }) } },
  };
}
