import type { JsonObject } from "@bufbuild/protobuf";
import type { NewExecution } from "../../domain/execution.ts";
import { parseFields, resolveFields } from "../../domain/json/fields.ts";
import type { JsonText } from "../../domain/json-text.ts";
import type { Graph } from "../../engine/graph/graph.ts";
import type { RunValues } from "../../engine/run/run-scope.ts";
import type { ConfigStore } from "../../storage/tenants/config-store.ts";

type Values = Pick<RunValues, "applicationFields" | "workflowFields">;

/**
 * The values of fields that an execution starts with, for its row: whoever takes it over goes on with them, whatever is
 * set by then. Absent where the graph reads none, and then nothing is asked.
 */
export async function startFields(
  configs: ConfigStore,
  graph: Graph,
  execution: Pick<NewExecution, "environmentId" | "workflowId" | "linkedAccountId" | "configId"> & {
    readonly slug: string;
  },
): Promise<Pick<NewExecution, "fields">> {
  if (!graph.readsFields) return {};
  const { environmentId, workflowId, linkedAccountId: accountId, configId, slug } = execution;
  const set = await configs.readForRun({ environmentId, accountId, configId, slug });
  const values: Values = {
    applicationFields: resolveFields(parseFields(set.declared), set.applicationFields),
    workflowFields: resolveFields(graph.fields, set.workflowFields[workflowId] ?? {}),
  };
  // Of values that were checked when they were set.
  return { fields: JSON.stringify(values) as JsonText };
}

/** What startFields kept. */
export function fieldValues({ fields }: NewExecution): Values {
  const none: JsonObject = {};
  // Written by startFields.
  return fields === undefined ? { applicationFields: none, workflowFields: none } : (JSON.parse(fields) as Values);
}
