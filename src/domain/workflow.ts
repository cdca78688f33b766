/** A workflow without its definitions. Times are the database's. */
export type WorkflowRecord = {
  readonly id: string;
  readonly slug: string;
  readonly name: string;
  readonly description?: string;
  readonly alias?: string;
  readonly currentVersion?: number;
  /** Counts all changes but those of the draft. */
  readonly revision: number;
  readonly createTime: Date;
  readonly updateTime: Date;
};

/** A workflow with the JSON text of the definition that calls run, or of its draft where it is not published. */
export type DefinedWorkflow = WorkflowRecord & { readonly definition: string };

/** A draft that was saved, without its definition. `revision` counts the saves. */
export type SavedDraft = { readonly workflowId: string; readonly revision: number; readonly updateTime: Date };

/** A draft. `definition` is the JSON text of a WorkflowDefinition. */
export type DraftRecord = SavedDraft & { readonly definition: string };

/** A published version without its definition. */
export type VersionRecord = { readonly version: number; readonly createTime: Date };

/** How a call names a workflow: by id or alias, and optionally by its integration. */
export type WorkflowReference = { readonly workflow: string; readonly slug?: string };
