import type { JsonValue } from "@bufbuild/protobuf";
import { parseJson } from "../domain/json/json-parse.ts";
import { scanJson } from "../domain/json/json-scan.ts";
import type { JsonLimits } from "../domain/limits.ts";
import { type FieldViolation, RequestError } from "../domain/request-error.ts";
import type { WorkflowReference } from "../domain/workflow.ts";
import type { Definitions, Findings } from "../engine/definitions.ts";
import type { DraftStore } from "../storage/workflows/draft-store.ts";
import type { WorkflowStore } from "../storage/workflows/workflow-store.ts";
import { type ImportedWorkflow, importRefold } from "./refold/import-refold.ts";
import { UnusableSource } from "./refold/source-workflow.ts";
import type { Author } from "./workflows.ts";

/** An export is at most this large; those that are known have a sixth of it. */
const sourceLimits: JsonLimits = { bytesMax: 1024 * 1024, valuesMax: 200_000, depthMax: 64, keysMax: 5_000 };
const violationsMax = 50;

export type ImportsOptions = {
  readonly workflows: WorkflowStore;
  readonly drafts: DraftStore;
  readonly definitions: Definitions;
};

/** What to import, and where to: into the draft of a workflow, into a new workflow, or nowhere. */
export type WorkflowImport = {
  readonly source: string;
  readonly slug?: string;
  readonly alias?: string;
  readonly workflow?: string;
  readonly isDryRun: boolean;
};

/** An imported workflow with what a check of its draft finds; the id is absent where nothing was kept. */
export type ImportResult = {
  readonly imported: ImportedWorkflow;
  readonly findings: Findings;
  readonly workflowId?: string;
};

/** Makes drafts of what other products exported. Nothing is published, and nothing is kept of what is refused. */
export class Imports {
  readonly #options: ImportsOptions;

  constructor(options: ImportsOptions) {
    this.#options = options;
  }

  /**
   * Refuses with IMPORT_INVALID an export without a graph, with INVALID_JSON and its kin what is no JSON, and as creating a
   * workflow or saving a draft does.
   */
  async run({ principal, signal }: Author, asked: WorkflowImport): Promise<ImportResult> {
    const { definitions } = this.#options;
    const imported = translated(jsonOf(asked.source));
    const path = [principal.organizationId, principal.environmentId] as const;
    const definition = await definitions.write(imported.definition, path);
    const findings = await definitions.check(definition, { path, signal });
    if (asked.isDryRun) {
      return { imported, findings };
    }
    return { imported, findings, workflowId: await this.#keep(principal, asked, { imported, definition }) };
  }

  async #keep(
    principal: Author["principal"],
    asked: WorkflowImport,
    { imported, definition }: { readonly imported: ImportedWorkflow; readonly definition: string },
  ): Promise<string> {
    const { workflows, drafts } = this.#options;
    if (asked.workflow !== undefined) {
      const reference: WorkflowReference = {
        workflow: asked.workflow,
        ...(asked.slug !== undefined && { slug: asked.slug }),
      };
      return (await drafts.save(principal, { reference, definition })).workflowId;
    }
    const slug = asked.slug ?? imported.slug;
    if (slug === "") {
      const description = "is not in the export: say to which integration the workflow is to belong";
      throw new RequestError("VALIDATION_ERROR", `slug ${description}.`, {
        violations: [{ field: "slug", description }],
      });
    }
    const alias = asked.alias ?? imported.alias;
    const { name, description } = imported;
    const created = await workflows.create(principal, {
      slug,
      name,
      definition,
      ...(description !== "" && { description }),
      ...(alias !== "" && { alias }),
    });
    return created.id;
  }
}

/** Throws RequestError for what is no JSON, with the place. */
function jsonOf(source: string): JsonValue {
  return parseJson(scanJson(Buffer.from(source), { name: "source", limits: sourceLimits }));
}

function translated(json: JsonValue): ImportedWorkflow {
  try {
    return importRefold(json);
  } catch (error) {
    throw error instanceof UnusableSource ? importInvalid(error.violations, error) : error;
  }
}

function importInvalid(violations: readonly FieldViolation[], cause: unknown): RequestError {
  const listed = violations.slice(0, violationsMax);
  const sentences = listed.map(({ field, description }) => `${field} ${description}.`);
  const rest = violations.length > listed.length ? ` There are ${violations.length - listed.length} more.` : "";
  return new RequestError("IMPORT_INVALID", `${sentences.join(" ")}${rest}`, { violations: listed, cause });
}
