import type { Json } from "./types.ts";

/** A call that was refused. */
export class FlowcallError extends Error {
  /** The HTTP status. */
  readonly status: number;
  /** A stable word for programs, such as `WORKFLOW_NOT_FOUND`; absent where something else than Flowcall answered. */
  readonly code: string | undefined;
  /** By which operators find the call in the log. */
  readonly requestId: string | undefined;
  /** Which fields are bad, or which limit was hit. */
  readonly details: Json | undefined;

  constructor(status: number, body: { readonly [field: string]: Json | undefined }) {
    const { error_code: code, message, request_id: requestId, details } = body;
    super(typeof message === "string" ? message : `The server answered ${status}.`);
    this.name = "FlowcallError";
    this.status = status;
    this.code = typeof code === "string" ? code : undefined;
    this.requestId = typeof requestId === "string" ? requestId : undefined;
    this.details = details;
  }
}
