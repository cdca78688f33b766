// Run by `npm run lint`: writes the OpenAPI document that a server answers to the file that is named.

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { createApiPages } from "../src/api-docs/api-pages.ts";
import { apiServices } from "../src/api-docs/api-services.ts";

const [file] = process.argv.slice(2);
const document = createApiPages(apiServices).get("/openapi.json");
if (file === undefined || document === undefined) {
  throw new Error("usage: node proto/openapi.ts FILE");
}
mkdirSync(dirname(file), { recursive: true });
writeFileSync(file, document().plain.body);
