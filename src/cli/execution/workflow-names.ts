import { WorkflowService } from "../../gen/flowcall/v1/workflow_pb.ts";
import type { Client } from "../client/client.ts";

/** The most pages of workflows that are read to find names. */
const pagesMax = 10;

/** The names of workflows by id, as `asana/create-task`. A deleted workflow has none. */
export async function workflowNames(client: Client, ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>();
  let pageToken: string | undefined;
  for (let page = 0; page < pagesMax && ids.some((id) => !names.has(id)); page += 1) {
    const request = { pageSize: 200, ...(pageToken !== undefined && { pageToken }) };
    const { workflows, nextPageToken } = await client.unary(WorkflowService.method.listWorkflows, request);
    for (const { id, slug, alias } of workflows) {
      if (alias !== undefined) {
        names.set(id, `${slug}/${alias}`);
      }
    }
    if (nextPageToken === undefined) {
      break;
    }
    pageToken = nextPageToken;
  }
  return names;
}

/** A workflow's name with its version, or `draft` for version 0, a draft test. */
export function workflowText(name: string, version: number): string {
  return `${name} ${version === 0 ? "draft" : `v${version}`}`;
}
