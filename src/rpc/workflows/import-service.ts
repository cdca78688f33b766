import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ImportResult, Imports } from "../../authoring/imports.ts";
import type { ImportIssue } from "../../authoring/refold/import-issue.ts";
import type { OperationNeed } from "../../authoring/refold/needs.ts";
import type { Call } from "../../domain/http/call.ts";
import {
  ImportIssue_Severity,
  type ImportIssueSchema,
  ImportService,
  type ImportWorkflowRequest,
  ImportWorkflowResponseSchema,
  type NeededOperationSchema,
} from "../../gen/flowcall/v1/import_pb.ts";
import { callerOf } from "../chain/handler-call.ts";
import { type Implementation, implement } from "../chain/handler-chain.ts";

/** Importing workflows of other products. */
export function createImportService(imports: Imports): Implementation {
  return implement(ImportService, {
    async importWorkflow({ source, slug, alias, workflow, dryRun }: ImportWorkflowRequest, call: Call) {
      const result = await imports.run(callerOf(call), {
        source,
        isDryRun: dryRun === true,
        ...(slug !== undefined && { slug }),
        ...(alias !== undefined && { alias }),
        ...(workflow !== undefined && { workflow }),
      });
      return importMessage(result);
    },
  });
}

function importMessage({ imported, findings, workflowId }: ImportResult) {
  const { name, description, slug, alias, definition, issues, integrations, functions, config } = imported;
  return create(ImportWorkflowResponseSchema, {
    ...(workflowId !== undefined && { workflowId }),
    name,
    ...(description !== "" && { description }),
    ...(slug !== "" && { slug }),
    ...(alias !== "" && { alias }),
    definition,
    issues: issues.map(issueInit),
    integrations: integrations.map(({ nodeIds, fields, baseUrls, actions, ...own }) => ({
      slug: own.slug,
      nodeIds: [...nodeIds],
      fields: [...fields],
      baseUrls: [...baseUrls],
      operations: actions.map(({ operation, ...need }) => operationInit(operation, need)),
    })),
    functions: functions.map((need) => operationInit(need.name, need)),
    config,
    errors: [...findings.errors],
    warnings: [...findings.warnings],
  });
}

function issueInit({ severity, ...issue }: ImportIssue): MessageInitShape<typeof ImportIssueSchema> {
  return { ...issue, severity: ImportIssue_Severity[severity] };
}

function operationInit(
  name: string,
  { nodeIds, parameters, outputPaths }: Omit<OperationNeed, "operation">,
): MessageInitShape<typeof NeededOperationSchema> {
  return { name, nodeIds: [...nodeIds], parameters: [...parameters], outputPaths: [...outputPaths] };
}
