import type { JsonObject } from "@bufbuild/protobuf";
import type { Tenant } from "../domain/account.ts";
import { parseFields, violationsOfValues } from "../domain/json/fields.ts";
import { checkJson } from "../domain/json/json-check.ts";
import { jsonPath } from "../domain/json/json-refusal.ts";
import { fieldsRefused } from "../domain/json/violations.ts";
import type { Limits } from "../domain/limits.ts";
import type { Principal } from "../domain/principal.ts";
import { type FieldViolation, RequestError } from "../domain/request-error.ts";
import type { DefinitionOutline } from "../engine/graph/definition-outline.ts";
import type { ConfigKey, ConfigRecord, ConfigStore, ConfigValues } from "../storage/tenants/config-store.ts";
import type { IntegrationStore } from "../storage/tenants/integration-store.ts";
import type { WorkflowStore } from "../storage/workflows/workflow-store.ts";

export type ConfigurationsOptions = {
  readonly configs: ConfigStore;
  readonly integrations: IntegrationStore;
  readonly workflows: WorkflowStore;
  /** The fields that a version declares. */
  readonly outline: (owner: Tenant, workflowId: string, version: number) => Promise<DefinitionOutline>;
  readonly limits: Limits;
};

/** The values of fields that are to be set; those of workflows by id or alias. */
export type NewConfiguration = ConfigKey & {
  readonly applicationFields: JsonObject;
  readonly workflowFields: Readonly<Record<string, JsonObject>>;
  readonly expectedRevisions?: readonly number[];
};

/** Sets values for the fields that integrations and published workflows declare. */
export class Configurations {
  readonly #options: ConfigurationsOptions;

  constructor(options: ConfigurationsOptions) {
    this.#options = options;
  }

  /** Refuses with VALIDATION_ERROR, and all that is wrong, values that do not fit what is declared; else as the store does. */
  async put(principal: Principal, configuration: NewConfiguration): Promise<ConfigRecord & ConfigValues> {
    const { applicationFields, workflowFields, ...key } = configuration;
    const limits = this.#options.limits.settings;
    checkJson(applicationFields, { name: "application_fields", limits });
    checkJson(workflowFields, { name: "workflow_fields", limits });
    const { fields } = await this.#options.integrations.get(principal.environmentId, key.slug);
    const violations = [...violationsOfValues(parseFields(fields), applicationFields, "application_fields")];
    const byId = await this.#workflowValues(principal, { slug: key.slug, workflowFields }, violations);
    if (violations.length > 0) {
      throw fieldsRefused(violations);
    }
    const values = { applicationFields, workflowFields: byId };
    return { ...(await this.#options.configs.put(principal, { ...key, ...values })), ...values };
  }

  /** The values of workflows by their ids. Violations are added to those that there are. */
  async #workflowValues(
    principal: Principal,
    { slug, workflowFields }: Pick<NewConfiguration, "slug" | "workflowFields">,
    violations: FieldViolation[],
  ): Promise<Readonly<Record<string, JsonObject>>> {
    const { workflows, outline } = this.#options;
    const given = Object.entries(workflowFields);
    const references = given.map(([workflow]) => ({ workflow, slug }));
    const found = await workflows.findMany({ environmentId: principal.environmentId }, references);
    const byId = new Map<string, JsonObject>();
    for (const [index, [name, values]] of given.entries()) {
      const field = jsonPath("workflow_fields", [name]);
      const workflow = found[index];
      if (workflow === undefined || workflow instanceof RequestError) {
        violations.push({ field, description: `is no workflow of the integration "${slug}"` });
      } else if (workflow.currentVersion === undefined) {
        violations.push({ field, description: "is a workflow that is not published, and declares nothing yet" });
      } else {
        const { fields } = await outline(principal, workflow.id, workflow.currentVersion);
        violations.push(...violationsOfValues(fields, values, field));
        if (byId.has(workflow.id)) {
          violations.push({ field, description: "is a workflow that is named twice, by id and by alias" });
        }
        byId.set(workflow.id, values);
      }
    }
    return Object.fromEntries(byId);
  }
}
