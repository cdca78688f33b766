import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Call } from "../../domain/http/call.ts";
import { parseFields, textOfFields, violationsOfFields } from "../../domain/json/fields.ts";
import { fieldsRefused } from "../../domain/json/violations.ts";
import { parseApiText, textOfApi } from "../../engine/secrets/api-declaration.ts";
import { parseApi } from "../../engine/secrets/api-rules.ts";
import {
  type CreateIntegrationRequest,
  type DeleteIntegrationRequest,
  DeleteIntegrationResponseSchema,
  type GetIntegrationRequest,
  IntegrationSchema,
  IntegrationService,
  type ListIntegrationsRequest,
  ListIntegrationsResponseSchema,
  type UpdateIntegrationRequest,
} from "../../gen/flowcall/v1/integration_pb.ts";
import type {
  IntegrationContent,
  IntegrationRecord,
  IntegrationStore,
} from "../../storage/tenants/integration-store.ts";
import { principalOf } from "../chain/handler-call.ts";
import { type Implementation, implement, type ServiceHandlers } from "../chain/handler-chain.ts";
import { nextOf, pageOf } from "../chain/page-request.ts";
import { etagOf, expectedOf } from "../chain/revision-etag.ts";

/** Writing and looking up integrations. */
export function createIntegrationService(options: { readonly integrations: IntegrationStore }): Implementation {
  return implement(IntegrationService, new IntegrationHandlers(options));
}

class IntegrationHandlers implements ServiceHandlers<typeof IntegrationService> {
  readonly #integrations: IntegrationStore;

  constructor({ integrations }: { readonly integrations: IntegrationStore }) {
    this.#integrations = integrations;
  }

  async createIntegration(request: CreateIntegrationRequest, call: Call) {
    const content = checkedContent(request);
    return integrationMessage(await this.#integrations.create(principalOf(call), content));
  }

  async listIntegrations(request: ListIntegrationsRequest, call: Call) {
    const page = await this.#integrations.list(principalOf(call).environmentId, pageOf(request));
    return create(ListIntegrationsResponseSchema, {
      integrations: page.integrations.map((integration) => integrationMessage(integration)),
      ...nextOf(page),
    });
  }

  async getIntegration({ slug }: GetIntegrationRequest, call: Call) {
    return integrationMessage(await this.#integrations.get(principalOf(call).environmentId, slug));
  }

  async updateIntegration(request: UpdateIntegrationRequest, call: Call) {
    const update = { ...checkedContent(request), ...expectedOf(request) };
    return integrationMessage(await this.#integrations.update(principalOf(call), update));
  }

  async deleteIntegration({ slug }: DeleteIntegrationRequest, call: Call) {
    await this.#integrations.delete(principalOf(call), slug);
    return create(DeleteIntegrationResponseSchema);
  }
}

/** An integration as it is kept. Refuses with VALIDATION_ERROR declarations that contradict each other or themselves. */
function checkedContent(request: CreateIntegrationRequest | UpdateIntegrationRequest): IntegrationContent {
  const { slug, name, fields } = request;
  const violations = [...violationsOfFields(fields, "fields")];
  parseApi(request, (violation) => violations.push(violation));
  if (violations.length > 0) {
    throw fieldsRefused(violations);
  }
  return { slug, name, fields: textOfFields(fields), api: textOfApi(request) };
}

function integrationMessage({ slug, name, fields, api, revision, createTime, updateTime }: IntegrationRecord) {
  return create(IntegrationSchema, {
    slug,
    name,
    fields: [...parseFields(fields)],
    ...apiOf(api),
    etag: etagOf(revision),
    createTime: timestampFromDate(createTime),
    updateTime: timestampFromDate(updateTime),
  });
}

function apiOf(text: string): MessageInitShape<typeof IntegrationSchema> {
  const { baseUrl, hosts, auth } = parseApiText(text);
  return { hosts, ...(baseUrl !== undefined && { baseUrl }), ...(auth && { auth }) };
}
