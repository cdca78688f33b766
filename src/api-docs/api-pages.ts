import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { DescService } from "@bufbuild/protobuf";
import { createDocument, type Document } from "../gateway/document.ts";
import { documentedReplies } from "../gateway/execute-reply.ts";
import { descriptorSetOf } from "../gateway/openapi/descriptor-set.ts";
import { createOpenApi } from "../gateway/openapi/openapi.ts";
import { readVersion } from "../process/version.ts";
import { apiExamples } from "./api-examples.ts";

const pageDir = join(import.meta.dirname, "api-page");

/** The modules of the page. */
const scripts = ["page.js", "api.js", "call.js", "dom.js", "operation.js", "reply.js", "schema.js"];

/** Nothing of the page leaves the machine, and nothing of another machine gets into it. */
const pagePolicy = [
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'",
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
].join("; ");

/** What the server answers to anybody: the description of its API, and a page to read and try it. By path. */
export function createApiPages(services: readonly DescService[]): ReadonlyMap<string, () => Document> {
  const file = (name: string, type: string) =>
    once(() => createDocument(type, readFileSync(join(pageDir, name)), { "content-security-policy": pagePolicy }));
  const page = file("index.html", "text/html; charset=utf-8");
  return new Map([
    ["/openapi.json", once(() => createDocument("application/json", JSON.stringify(describe(services))))],
    ["/descriptors.binpb", once(() => createDocument("application/x-protobuf", descriptorSetOf(services)))],
    ["/docs", page],
    ["/docs/", page],
    ...scripts.map((name) => [`/docs/${name}`, file(name, "text/javascript; charset=utf-8")] as const),
    ["/docs/page.css", file("page.css", "text/css; charset=utf-8")],
  ]);
}

function describe(services: readonly DescService[]) {
  return createOpenApi({ services, version: readVersion(), replies: documentedReplies, examples: apiExamples });
}

/** Made when it is first asked for: most processes are never asked, and a start need not wait for it. */
function once<Value extends object>(make: () => Value): () => Value {
  let made: Value | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
