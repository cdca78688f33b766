import type { JsonObject } from "@bufbuild/protobuf";
import type { Examples } from "../gateway/openapi/examples.ts";

const workflow = { workflow: "greet", slug: "asana" };
const account = { account_id: "ann@acme.io" };
const execution = { execution_id: "6b0551ebd005750c5c353a79" };

/** The workflow in the README's "A workflow of your own". */
const definition: JsonObject = {
  nodes: [
    { id: "1", name: "Start", start: { api_call: { payload: { name: "Ada" } } } },
    {
      id: "2",
      name: "Known",
      rule: { comparisons: [{ left: "{{event.body.name}}", operator: "exist" }] },
    },
    { id: "3", name: "Greeting", transform: { query: '{ "greeting": "Hello, " & {{event.body.name}} }' } },
    { id: "4", name: "Response", response: { data: "{{node.Greeting.body}}" } },
    { id: "5", name: "Nobody", response: { data: '{"greeting": null}', status_code: 422 } },
  ],
  edges: [
    { source: "1", target: "2" },
    { source: "2", target: "3", port: "true" },
    { source: "2", target: "5", port: "false" },
    { source: "3", target: "4" },
  ],
};

/** The example calls of the API page. In this order they succeed on the examples that a first start loads. */
export const apiExamples: Examples = {
  ExecuteWorkflow: {
    parameters: { workflow: "create-task", linked_account_id: "john@acme.io", slug: "asana", sync_execution: true },
    body: { "Task Name": "Sample task", Assigned_to: "John Doe" },
    reply: {
      return_value: { success: "true", new_note: "Sample task (assigned to John Doe)" },
      execution_id: "6b0551ebd005750c5c353a79",
    },
  },
  GetExecutionResponse: {
    parameters: { ...execution, linked_account_id: "john@acme.io" },
    reply: { response: { success: "true", new_note: "Sample task (assigned to John Doe)" }, status: "COMPLETED" },
  },
  CreateIntegration: { body: { slug: "shop", name: "Shop" } },
  UpdateIntegration: { parameters: { slug: "shop" }, body: { name: "The shop" } },
  PutLinkedAccount: { parameters: account, body: { name: "Ann Poe", attributes: { plan: "pro" } } },
  CreateWorkflow: { body: { slug: "asana", name: "Greet", alias: "greet" } },
  UpdateWorkflow: { parameters: workflow, body: { name: "Greet somebody" } },
  SaveDraft: { parameters: workflow, body: definition },
  ValidateDraft: { parameters: workflow },
  ValidateDefinition: { body: { definition } },
  TestDraft: { parameters: { ...workflow, linked_account_id: "john@acme.io" }, body: { payload: { name: "Grace" } } },
  PublishWorkflow: { parameters: workflow },
  CreateApiKey: { body: { name: "ci", scopes: ["read", "author"] } },
};
