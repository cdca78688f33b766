import { resolve } from "node:path";
import { schemaName } from "./workflow-folder.ts";

/** The schema of workflow files, as it is published with this version. */
export const schemaFile: string = resolve(import.meta.dirname, "../../../docs", schemaName);
