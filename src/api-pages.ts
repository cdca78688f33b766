import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { DescService } from "@bufbuild/protobuf";
import { createDocument, type Document } from "./gateway/document.ts";
import { descriptorSetOf } from "./gateway/openapi/descriptor-set.ts";
import type { Examples } from "./gateway/openapi/examples.ts";
import { createOpenApi } from "./gateway/openapi/openapi.ts";
import { documentedReplies } from "./rest-replies.ts";
import { readVersion } from "./version.ts";

const pageDir = join(import.meta.dirname, "api-page");

/** Nothing of the page leaves the machine, and nothing of another machine gets into it. */
const pagePolicy = [
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'",
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
].join("; ");

/** The calls of the README, on the examples that a first start loads. */
const examples: Examples = {
  ExecuteWorkflow: {
    parameters: { workflow: "create-task", linked_account_id: "john@acme.io", slug: "asana", sync_execution: true },
    body: { "Task Name": "Sample task", Assigned_to: "John Doe" },
    reply: {
      return_value: { success: "true", new_note: "Sample task (assigned to John Doe)" },
      execution_id: "6b0551ebd005750c5c353a79",
    },
  },
  GetExecutionResponse: {
    parameters: { execution_id: "6b0551ebd005750c5c353a79", linked_account_id: "john@acme.io" },
    reply: { response: { success: "true", new_note: "Sample task (assigned to John Doe)" }, status: "COMPLETED" },
  },
};

/** What the server answers to anybody: the description of its API, and a page to read and try it. By path. */
export function createApiPages(services: readonly DescService[]): ReadonlyMap<string, () => Document> {
  const file = (name: string, type: string) =>
    once(() => createDocument(type, readFileSync(join(pageDir, name)), { "content-security-policy": pagePolicy }));
  const page = file("index.html", "text/html; charset=utf-8");
  return new Map([
    ["/openapi.json", once(() => createDocument("application/json", JSON.stringify(describe(services))))],
    ["/descriptors.binpb", once(() => createDocument("application/x-protobuf", descriptorSetOf(services)))],
    ["/docs", page],
    ["/docs/", page],
    ["/docs/page.js", file("page.js", "text/javascript; charset=utf-8")],
    ["/docs/page.css", file("page.css", "text/css; charset=utf-8")],
  ]);
}

function describe(services: readonly DescService[]) {
  return createOpenApi({ services, version: readVersion(), replies: documentedReplies, examples });
}

/** Made when it is first asked for: most processes are never asked, and a start need not wait for it. */
function once<Value extends object>(make: () => Value): () => Value {
  let made: Value | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
