/** A workflow as it is kept, without its definitions. Times are the database's. */
export type WorkflowRecord = {
  readonly id: string;
  readonly slug: string;
  readonly name: string;
  readonly description?: string;
  readonly alias?: string;
  readonly currentVersion?: number;
  /** Counts the changes of all but the draft. */
  readonly revision: number;
  readonly createTime: Date;
  readonly updateTime: Date;
};

/** A draft as it is kept. `definition` is the JSON text of a WorkflowDefinition; `revision` counts its saves. */
export type DraftRecord = {
  readonly workflowId: string;
  readonly definition: string;
  readonly revision: number;
  readonly updateTime: Date;
};

/** A published version as it is kept, without its definition. */
export type VersionRecord = { readonly version: number; readonly createTime: Date };

/** How a call names a workflow: an id or an alias, and the integration it should belong to. */
export type WorkflowReference = { readonly workflow: string; readonly slug?: string };
