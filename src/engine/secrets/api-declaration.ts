import { create, fromJson, toJsonString } from "@bufbuild/protobuf";
import { type Integration, IntegrationSchema } from "../../gen/flowcall/v1/integration_pb.ts";

/** What an integration says of its API. */
export type ApiDeclaration = Pick<Integration, "baseUrl" | "hosts" | "auth">;

/** The stored form: JSON text of an Integration that has nothing else. */
export function textOfApi({ baseUrl, hosts, auth }: ApiDeclaration): string {
  const api = { ...(baseUrl !== undefined && { baseUrl }), hosts, ...(auth && { auth }) };
  return toJsonString(IntegrationSchema, create(IntegrationSchema, api));
}

/** Parses what `textOfApi` wrote, which may be that of a newer release. */
export function parseApiText(text: string): ApiDeclaration {
  return fromJson(IntegrationSchema, JSON.parse(text), { ignoreUnknownFields: true });
}
