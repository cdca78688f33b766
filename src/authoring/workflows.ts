// The rules of everything that people edit: workflows, configuration, connections and keys.
//
// The rules stand here that a store does not know, since they look at definitions or at several stores, and that a handler
// does not decide, since it only unpacks a request and packs a reply. Nothing here knows messages of requests, runs
// executions or keeps state. What needs no rule goes from a handler to its store.

import { create } from "@bufbuild/protobuf";
import { etagMismatch } from "../domain/http/etag-mismatch.ts";
import { requireScope } from "../domain/keys/api-key.ts";
import type { Principal } from "../domain/principal.ts";
import { RequestError } from "../domain/request-error.ts";
import type { SavedDraft, WorkflowReference } from "../domain/workflow.ts";
import type { Definitions, Findings } from "../engine/definitions.ts";
import type { WorkflowDefinition } from "../gen/flowcall/v1/definition_pb.ts";
import { Scope } from "../gen/flowcall/v1/options_pb.ts";
import { type WorkflowProblem, WorkflowProblemSchema } from "../gen/flowcall/v1/workflow_pb.ts";
import type { DraftStore } from "../storage/workflows/draft-store.ts";
import type { VersionStore } from "../storage/workflows/version-store.ts";
import type { Expected } from "../storage/workflows/workflow-changes.ts";

export type WorkflowsOptions = {
  readonly drafts: DraftStore;
  readonly versions: VersionStore;
  readonly definitions: Definitions;
  /** Whether the service knows the URL by which others reach it. */
  readonly hasPublicUrl: boolean;
};

/** The caller. The signal aborts when nobody waits for the answer any more. */
export type Author = { readonly principal: Principal; readonly signal: AbortSignal };

/** The definition to be checked: the draft of a workflow, or another one in its place. */
export type DraftCheck = {
  readonly reference: WorkflowReference;
  readonly definition?: WorkflowDefinition;
  readonly derivesSchema: boolean;
};

export type Publication = {
  readonly workflowId: string;
  readonly version: number;
  readonly warnings: readonly WorkflowProblem[];
};

/** Saves drafts, checks them, and makes versions of them: a version is published only if it can run. */
export class Workflows {
  readonly #options: WorkflowsOptions;

  constructor(options: WorkflowsOptions) {
    this.#options = options;
  }

  /** A draft need not be able to run. Refuses with WORKFLOW_NOT_FOUND, SLUG_REQUIRED, ETAG_MISMATCH. */
  async saveDraft(
    { principal }: Author,
    { definition, ...draft }: Expected & { readonly definition: WorkflowDefinition },
  ): Promise<SavedDraft> {
    const { drafts, definitions } = this.#options;
    const text = await definitions.write(definition, pathOf(principal));
    return await drafts.save(principal, { ...draft, definition: text });
  }

  /** Finds what is wrong with a draft, with its revision, or with another definition in the draft's place. */
  async checkDraft(
    { principal, signal }: Author,
    { reference, definition, derivesSchema }: DraftCheck,
  ): Promise<Findings & { readonly revision?: number }> {
    const { drafts, definitions } = this.#options;
    // Then the definition is the caller's, and not what authors have saved.
    if (definition !== undefined || derivesSchema) {
      requireScope(principal, Scope.AUTHOR);
    }
    const draft = await drafts.find(principal, reference);
    const { applicationFields, revision } = draft;
    const path = pathOf(principal);
    const text = definition === undefined ? draft.definition : await definitions.write(definition, path);
    const findings = await definitions.check(text, { path, signal, derivesSchema, applicationFields });
    return definition === undefined ? { ...findings, revision } : findings;
  }

  /** Finds what is wrong with a definition of no workflow. */
  async checkDefinition(
    { principal, signal }: Author,
    { definition, derivesSchema }: Pick<DraftCheck, "derivesSchema"> & { readonly definition: WorkflowDefinition },
  ): Promise<Findings> {
    const { definitions } = this.#options;
    const path = pathOf(principal);
    return await definitions.check(await definitions.write(definition, path), { path, signal, derivesSchema });
  }

  /** Publishes the draft, in the revision that is checked here. Refuses with WORKFLOW_INVALID, ETAG_MISMATCH. */
  async publish({ principal, signal }: Author, { reference, expectedRevisions }: Expected): Promise<Publication> {
    const { drafts, versions, definitions } = this.#options;
    const draft = await drafts.find(principal, reference);
    const { workflowId, revision, definition, applicationFields } = draft;
    if (expectedRevisions?.includes(revision) === false) {
      throw etagMismatch({ workflow: workflowId });
    }
    const check = { workflowId, applicationFields, path: pathOf(principal), signal };
    const warnings = await definitions.requireRunnable(definition, check);
    await this.#requireUrl(definition, check);
    const version = await versions.publish(principal, { workflowId, revision });
    return { workflowId, version, warnings };
  }

  /** Publishes an earlier version anew. Refuses with WORKFLOW_INVALID: an older release may have published what cannot run. */
  async restore(
    { principal, signal }: Author,
    { version: earlier, ...workflow }: Expected & { readonly version: number },
  ): Promise<Publication> {
    const { versions, definitions } = this.#options;
    const found = await versions.find(principal, workflow.reference, earlier);
    const { definition, applicationFields } = found;
    const { id: workflowId } = found.workflow;
    const check = { workflowId, applicationFields, path: pathOf(principal), signal };
    const warnings = await definitions.requireRunnable(definition, check);
    await this.#requireUrl(definition, check);
    const version = await versions.restore(principal, {
      ...workflow,
      reference: { workflow: workflowId },
      version: earlier,
    });
    return { workflowId, version, warnings };
  }

  /** Refuses a workflow that waits for calls of a URL, where nobody could know one. */
  async #requireUrl(
    text: string,
    { workflowId, path }: { readonly workflowId: string; readonly path: readonly string[] },
  ) {
    const { definitions, hasPublicUrl } = this.#options;
    if (hasPublicUrl || !text.includes(webhookKind)) {
      return;
    }
    const { nodes } = await definitions.parse(text, path);
    const waiting = nodes.find(({ kind }) => kind.case === "waitForWebhook");
    if (waiting !== undefined) {
      throw publicUrlMissing(workflowId, waiting.id);
    }
  }
}

const webhookKind = "wait_for_webhook";

function publicUrlMissing(workflowId: string, nodeId: string): RequestError {
  const message =
    "A Wait for Webhook node needs a URL that others can call, and the service does not know its own. Set FLOWCALL_PUBLIC_URL.";
  const problem = create(WorkflowProblemSchema, { nodeId, field: webhookKind, reason: "PUBLIC_URL_MISSING", message });
  return new RequestError("WORKFLOW_INVALID", `The definition cannot run: node ${nodeId}: ${message}`, {
    problems: [problem],
    metadata: { workflow_id: workflowId, problems: "1" },
  });
}

/** The path in the fair queue: the organisation, and in it the environment. */
function pathOf({ organizationId, environmentId }: Principal): readonly [string, string] {
  return [organizationId, environmentId];
}
