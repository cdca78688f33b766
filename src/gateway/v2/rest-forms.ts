import { executeForm } from "./execute-form.ts";
import { executionForm } from "./execution-form.ts";
import { executionListForm } from "./execution-list-form.ts";
import type { RestForm } from "./rest-form.ts";

/*
 * The paths below /api/v2/public, which clients of Refold call. The methods are those of /api/v1; requests and replies have the
 * form that these clients know: what is written here and nothing else differs.
 */

/** The forms by the path of their binding. */
export const restForms: ReadonlyMap<string, RestForm> = new Map([
  ["/api/v2/public/workflow/{workflow}/execute", executeForm],
  ["/api/v2/public/execution/{execution_id}", executionForm],
  ["/api/v2/public/execution", executionListForm],
]);
