import { didYouMean } from "../../domain/nearest.ts";
import { IntegrationService } from "../../gen/flowcall/v1/integration_pb.ts";
import { LinkedAccountService } from "../../gen/flowcall/v1/linked_account_pb.ts";
import { WorkflowService } from "../../gen/flowcall/v1/workflow_pb.ts";
import type { Client } from "../client/client.ts";
import type { Arguments } from "../command-line/arguments.ts";
import type { Failure } from "../output/failure.ts";
import type { Context } from "./context.ts";

/** The candidates for "Did you mean" are the first 200 names. */
const pageSize = 200;

/**
 * Answers what to type instead of a name that the server does not know: the most similar name that it has, and the command
 * that lists them. The answer is empty for other refusals, and where the key may not list the names.
 */
export async function adviceOf({ reason }: Failure, given: Arguments, context: Context): Promise<string> {
  const { slug, account } = context.settings;
  try {
    switch (reason) {
      case "WORKFLOW_NOT_FOUND": {
        const word = given.text("workflow") ?? given.positionals[0] ?? "";
        return await workflowAdvice(await context.connect(), word, slug);
      }
      case "INTEGRATION_NOT_FOUND": {
        const wanted = given.text("slug") ?? slug ?? given.positionals[0] ?? "";
        const { integrations } = await (await context.connect()).unary(integrationList, { pageSize });
        return `${didYouMean(
          wanted,
          integrations.map((one) => one.slug),
        )} See: flowcall integration ls`;
      }
      case "INVALID_LINKED_ACCOUNT_ID": {
        const { linkedAccounts } = await (await context.connect()).unary(accountList, { pageSize });
        return `${didYouMean(
          account ?? "",
          linkedAccounts.map((one) => one.accountId),
        )} See: flowcall account ls`;
      }
      case "WORKFLOW_NOT_PUBLISHED":
        return ` Publish it: flowcall workflow publish ${given.positionals[0] ?? ""}`;
      case "SYNC_NOT_ALLOWED_WITH_GROUP":
        return " Call it with --wait 10s instead of --sync.";
      case "NODE_RETRY_NOT_ALLOWED":
        return ` See: flowcall rerun ${given.positionals[0] ?? ""}`;
      case "INVALID_API_KEY":
      case "MISSING_API_KEY":
        return " See: flowcall status, and flowcall profile add";
      default:
        return "";
    }
  } catch {
    return "";
  }
}

const integrationList = IntegrationService.method.listIntegrations;
const accountList = LinkedAccountService.method.listLinkedAccounts;

async function workflowAdvice(client: Client, word: string, slug: string | undefined): Promise<string> {
  const { workflows } = await client.unary(WorkflowService.method.listWorkflows, { pageSize });
  const elsewhere = workflows.filter(({ alias }) => alias === word).map((workflow) => workflow.slug);
  if (elsewhere.length > 0 && slug !== undefined) {
    return ` It is not in the integration ${slug} but in ${elsewhere.join(", ")}: --slug ${elsewhere[0]}`;
  }
  const own = workflows.filter((workflow) => slug === undefined || workflow.slug === slug);
  const aliases = [...new Set(own.flatMap(({ alias }) => (alias === undefined ? [] : [alias])))];
  return `${didYouMean(word, aliases)} See: flowcall workflow ls`;
}
