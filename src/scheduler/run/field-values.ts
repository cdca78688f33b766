import type { NewExecution } from "../../domain/execution.ts";
import { parseFields, resolveFields } from "../../domain/json/fields.ts";
import type { JsonText } from "../../domain/json/json-text.ts";
import type { Graph } from "../../engine/graph/graph.ts";
import type { RunValues } from "../../engine/run/run-scope.ts";
import type { ConfigStore } from "../../storage/tenants/config-store.ts";
import type { ConfigRead } from "../../storage/tenants/read-set.ts";

/** Values of configured fields for the row of a new execution, and what was read for them; none where its graph reads none. */
export type StartFields = { readonly fields?: JsonText; readonly read?: ConfigRead };

type Values = Pick<RunValues, "applicationFields" | "workflowFields">;

/**
 * Reads the values of the configured fields for the row of a new execution. A process that takes the execution over goes
 * on with these values, whatever is configured by then. Where the graph reads no fields, this costs no statement.
 */
export async function startFields(
  configs: ConfigStore,
  graph: Graph,
  execution: Pick<NewExecution, "environmentId" | "workflowId" | "linkedAccountId" | "configId"> & {
    readonly slug: string;
  },
): Promise<StartFields> {
  if (!graph.readsFields) {
    return {};
  }
  const { environmentId, workflowId, linkedAccountId: accountId, configId, slug } = execution;
  const set = await configs.readForRun({ environmentId, accountId, configId, slug });
  const values: Values = {
    applicationFields: resolveFields(parseFields(set.declared), set.applicationFields),
    workflowFields: resolveFields(graph.fields, set.workflowFields[workflowId] ?? {}),
  };
  // The values were checked when they were configured.
  return { fields: JSON.stringify(values) as JsonText, read: { slug, configId, version: set.version } };
}

/** The values of a run that reads none. */
export const noFields: Values = { applicationFields: {}, workflowFields: {} };

/** The inverse of `startFields`. */
export function fieldValues(fields: JsonText): Values {
  // Written by startFields.
  return JSON.parse(fields) as Values;
}
