import { resolve } from "node:path";
import { schemaName } from "./workflow-folder.ts";

/** The JSON Schema of workflow files, from this version's docs. */
export const schemaFile: string = resolve(import.meta.dirname, "../../../docs", schemaName);
