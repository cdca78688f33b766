import { create, type JsonObject } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { parseFields, violationsOfValues } from "../../domain/json/fields.ts";
import { checkJson } from "../../domain/json/json-check.ts";
import { jsonPath } from "../../domain/json/json-refusal.ts";
import { fieldsRefused } from "../../domain/json/violations.ts";
import type { Limits } from "../../domain/limits.ts";
import { isReached, type Reach } from "../../domain/principal.ts";
import { type FieldViolation, RequestError } from "../../domain/request-error.ts";
import {
  ConfigSchema,
  ConfigService,
  DeleteConfigResponseSchema,
  ListConfigsResponseSchema,
  type PutConfigRequest,
} from "../../gen/flowcall/v1/config_pb.ts";
import type { ConfigRecord, ConfigStore, ConfigValues } from "../../storage/tenants/config-store.ts";
import type { IntegrationStore } from "../../storage/tenants/integration-store.ts";
import type { WorkflowStore } from "../../storage/workflows/workflow-store.ts";
import { type Implementation, implement } from "../chain/handler-chain.ts";
import { nextOf, pageOf } from "../chain/page-request.ts";
import { principalOf, reachOf } from "../chain/principal-of.ts";
import { etagOf, expectedOf } from "../chain/revision-etag.ts";
import { definitionFields } from "../executions/definition-nodes.ts";

export type ConfigServiceOptions = {
  readonly configs: ConfigStore;
  readonly integrations: IntegrationStore;
  readonly workflows: WorkflowStore;
  readonly limits: Limits;
};

/** Setting and looking up what is set of declared fields. */
export function createConfigService({
  configs,
  integrations,
  workflows,
  limits,
}: ConfigServiceOptions): Implementation {
  const settings = limits.settings;

  /** The values of one workflow's fields, by its id. Violations are added to those that there are. */
  const workflowValues = async (
    { slug, workflow, values }: { readonly slug: string; readonly workflow: string; readonly values: JsonObject },
    environmentId: string,
    violations: FieldViolation[],
  ): Promise<readonly [string, JsonObject] | undefined> => {
    const path = jsonPath("workflow_fields", [workflow]);
    try {
      const { id, currentVersion } = await workflows.find({ environmentId }, { workflow, slug });
      if (currentVersion === undefined) {
        violations.push({ field: path, description: "is a workflow that is not published, and declares nothing yet" });
        return undefined;
      }
      const declared = await definitionFields(workflows, environmentId, { workflowId: id, version: currentVersion });
      violations.push(...violationsOfValues(declared, values, path));
      return [id, values];
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      violations.push({ field: path, description: `is no workflow of the integration "${slug}"` });
      return undefined;
    }
  };

  /** Checks all values against what is declared; refuses with all that is wrong. */
  const checkedValues = async (request: PutConfigRequest, environmentId: string): Promise<ConfigValues> => {
    const { slug, applicationFields = {} } = request;
    checkJson(applicationFields, { name: "application_fields", limits: settings });
    const given = Object.entries(request.workflowFields).map(([workflow, values]) => ({ slug, workflow, values }));
    checkJson(Object.fromEntries(given.map(({ workflow, values }) => [workflow, values])), {
      name: "workflow_fields",
      limits: settings,
    });
    const { fields } = await integrations.get(environmentId, slug);
    const violations = [...violationsOfValues(parseFields(fields), applicationFields, "application_fields")];
    const workflowFields = new Map<string, JsonObject>();
    for (const entry of given) {
      const [id, values] = (await workflowValues(entry, environmentId, violations)) ?? [];
      if (id === undefined || values === undefined) continue;
      if (workflowFields.has(id)) {
        const field = jsonPath("workflow_fields", [entry.workflow]);
        violations.push({ field, description: "is a workflow that is named twice, by id and by alias" });
      }
      workflowFields.set(id, values);
    }
    if (violations.length > 0) throw fieldsRefused(violations);
    return { applicationFields, workflowFields: Object.fromEntries(workflowFields) };
  };

  return implement(ConfigService, {
    putConfig: async (request, call) => {
      const actor = principalOf(call);
      const values = await checkedValues(request, actor.environmentId);
      const record = await configs.put(actor, {
        ...keyOf(request),
        ...values,
        ...expectedOf(request),
      });
      return configMessage(record, values);
    },

    listConfigs: async (request, call) => {
      const page = await configs.list(reachOf(call), request.accountId, pageOf(request));
      return create(ListConfigsResponseSchema, {
        configs: page.configs.map((config) => configMessage(config)),
        ...nextOf(page),
      });
    },

    getConfig: async (request, call) => {
      const reach = reachOf(call);
      const config = await configs.get(reach, keyOf(request));
      return configMessage(config, within(reach, config));
    },

    deleteConfig: async (request, call) => {
      await configs.delete(principalOf(call), keyOf(request));
      return create(DeleteConfigResponseSchema);
    },
  });
}

type Key = { readonly accountId: string; readonly slug: string; readonly configId?: string | undefined };

function keyOf({ accountId, slug, configId = accountId }: Key) {
  return { accountId, slug, configId };
}

/** Without the values of workflows that the caller cannot see. */
function within(reach: Reach, { applicationFields, workflowFields }: ConfigValues): ConfigValues {
  const shown = Object.entries(workflowFields).filter(([workflowId]) => isReached(reach, { workflowId }));
  return { applicationFields, workflowFields: Object.fromEntries(shown) };
}

function configMessage(record: ConfigRecord, values?: ConfigValues) {
  const { accountId, slug, configId, revision, createTime, updateTime } = record;
  return create(ConfigSchema, {
    accountId,
    slug,
    configId,
    ...(values !== undefined && {
      applicationFields: values.applicationFields,
      workflowFields: values.workflowFields,
    }),
    etag: etagOf(revision),
    createTime: timestampFromDate(createTime),
    updateTime: timestampFromDate(updateTime),
  });
}
