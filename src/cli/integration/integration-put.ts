import { fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { FieldDeclarationSchema } from "../../gen/flowcall/v1/field_pb.ts";
import {
  AuthSchema,
  type Integration,
  IntegrationSchema,
  IntegrationService,
} from "../../gen/flowcall/v1/integration_pb.ts";
import type { Command } from "../command/command.ts";
import { dataText, parseJson } from "../input/json-input.ts";
import { usageError } from "../output/cli-error.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { printable } from "../output/output.ts";
import { readFailure } from "../output/read-failure.ts";

const service = IntegrationService.method;

export const integrationPut: Command = {
  name: "integration put",
  summary: "Creates an integration, which workflows belong to, or changes what is given of it.",
  positionals: ["SLUG"],
  options: {
    name: { type: "string", value: "NAME", help: "its display name; the slug if absent" },
    fields: { type: "string", value: "JSON|@FILE|-", help: "the list of fields that each linked account can set" },
    "base-url": { type: "string", value: "URL", help: "where its API is, as https://api.example.com/v3" },
    host: {
      type: "string",
      multiple: true,
      value: "HOST",
      help: "a further host that gets the credentials; all of them are replaced",
    },
    auth: { type: "string", value: "JSON|@FILE|-", help: "how the credentials of its connections are sent" },
  },
  example: 'flowcall integration put shop --name "Our shop"',

  async run(given, context) {
    const [slug, name, data] = [given.word(0), given.text("name"), given.text("fields")];
    const fields =
      data === undefined ? undefined : fieldsIn(parseJson(await dataText(data, context.stdin), "--fields"));
    const client = await context.connect();
    const { signal } = context;
    const there = await client.unary(service.getIntegration, { slug }, { signal }).catch(async (error: unknown) => {
      if ((await readFailure(error)).reason === "INTEGRATION_NOT_FOUND") {
        return undefined;
      }
      throw error;
    });
    const [baseUrl, hosts, authData] = [
      given.text("base-url") ?? there?.baseUrl,
      given.texts("host"),
      given.text("auth"),
    ];
    const auth =
      authData === undefined ? there?.auth : authIn(parseJson(await dataText(authData, context.stdin), "--auth"));
    const wanted = {
      slug,
      name: name ?? there?.name ?? slug,
      fields: fields ?? there?.fields ?? [],
      hosts: hosts.length > 0 ? [...hosts] : (there?.hosts ?? []),
      ...(baseUrl !== undefined && { baseUrl }),
      ...(auth && { auth }),
    };
    const integration =
      there === undefined
        ? await client.unary(service.createIntegration, wanted, { signal })
        : await client.unary(service.updateIntegration, { ...wanted, etag: there.etag }, { signal });
    context.output.value(toJson(IntegrationSchema, integration), integrationText(integration));
    return exitCodes.done;
  },
};

function fieldsIn(json: unknown) {
  if (!Array.isArray(json)) {
    throw usageError('--fields must be a JSON list, as [{"name": "Region", "type": "STRING"}].');
  }
  try {
    return json.map((field) => fromJson(FieldDeclarationSchema, field));
  } catch (error) {
    throw usageError(`--fields has an invalid field: ${error instanceof Error ? error.message : error}.`);
  }
}

function authIn(json: JsonValue) {
  try {
    return fromJson(AuthSchema, json);
  } catch (error) {
    throw usageError(`--auth is invalid: ${error instanceof Error ? error.message : error}.`);
  }
}

/** An integration as one line. */
function integrationText({ slug, name, fields, baseUrl }: Integration): string {
  const fieldNames = fields.length === 0 ? "" : `  fields: ${fields.map((field) => field.name).join(", ")}`;
  return printable(`${slug}  ${name}${fieldNames}${baseUrl === undefined ? "" : `  ${baseUrl}`}`);
}
