import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { parseFields, textOfFields, violationsOfFields } from "../../domain/json/fields.ts";
import { fieldsRefused } from "../../domain/json/violations.ts";
import type { FieldDeclaration } from "../../gen/flowcall/v1/field_pb.ts";
import {
  DeleteIntegrationResponseSchema,
  IntegrationSchema,
  IntegrationService,
  ListIntegrationsResponseSchema,
} from "../../gen/flowcall/v1/integration_pb.ts";
import type { IntegrationRecord, IntegrationStore } from "../../storage/tenants/integration-store.ts";
import { type Implementation, implement } from "../chain/handler-chain.ts";
import { nextOf, pageOf } from "../chain/page-request.ts";
import { principalOf } from "../chain/principal-of.ts";
import { etagOf, expectedOf } from "../chain/revision-etag.ts";

/** Writing and looking up integrations. */
export function createIntegrationService({
  integrations,
}: {
  readonly integrations: IntegrationStore;
}): Implementation {
  return implement(IntegrationService, {
    createIntegration: async ({ slug, name, fields }, call) =>
      integrationMessage(await integrations.create(principalOf(call), { slug, name, fields: checkedText(fields) })),

    listIntegrations: async (request, call) => {
      const page = await integrations.list(principalOf(call).environmentId, pageOf(request));
      return create(ListIntegrationsResponseSchema, {
        integrations: page.integrations.map((integration) => integrationMessage(integration)),
        ...nextOf(page),
      });
    },

    getIntegration: async ({ slug }, call) =>
      integrationMessage(await integrations.get(principalOf(call).environmentId, slug)),

    updateIntegration: async ({ slug, name, fields, etag }, call) =>
      integrationMessage(
        await integrations.update(principalOf(call), {
          slug,
          name,
          fields: checkedText(fields),
          ...expectedOf({ etag }),
        }),
      ),

    deleteIntegration: async ({ slug }, call) => {
      await integrations.delete(principalOf(call), slug);
      return create(DeleteIntegrationResponseSchema);
    },
  });
}

function checkedText(fields: readonly FieldDeclaration[]): string {
  const violations = violationsOfFields(fields, "fields");
  if (violations.length > 0) throw fieldsRefused(violations);
  return textOfFields(fields);
}

function integrationMessage({ slug, name, fields, revision, createTime, updateTime }: IntegrationRecord) {
  return create(IntegrationSchema, {
    slug,
    name,
    fields: [...parseFields(fields)],
    etag: etagOf(revision),
    createTime: timestampFromDate(createTime),
    updateTime: timestampFromDate(updateTime),
  });
}
