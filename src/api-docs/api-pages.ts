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

/** The JavaScript modules of the API page. */
const scripts = ["page.js", "api.js", "call.js", "dom.js", "operation.js", "reply.js", "schema.js"];

/** A strict Content Security Policy: the page loads nothing from other hosts and sends nothing to them. */
const contentSecurityPolicy = [
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'",
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
].join("; ");

/** The documents that need no key, by path: the OpenAPI document, the descriptors, and the API page. */
export function createApiPages(services: readonly DescService[]): ReadonlyMap<string, () => Document> {
  const file = (name: string, type: string) =>
    lazily(() =>
      createDocument(type, readFileSync(join(pageDir, name)), { "content-security-policy": contentSecurityPolicy }),
    );
  const page = file("index.html", "text/html; charset=utf-8");
  return new Map([
    ["/openapi.json", lazily(() => createDocument("application/json", JSON.stringify(describe(services))))],
    ["/descriptors.binpb", lazily(() => createDocument("application/x-protobuf", descriptorSetOf(services)))],
    ["/docs", page],
    ["/docs/", page],
    ...scripts.map((name) => [`/docs/${name}`, file(name, "text/javascript; charset=utf-8")] as const),
    ["/docs/page.css", file("page.css", "text/css; charset=utf-8")],
  ]);
}

function describe(services: readonly DescService[]) {
  return createOpenApi({ services, version: readVersion(), replies: documentedReplies, examples: apiExamples });
}

/** Creates a value on first use: most processes never need it, and a start need not wait for it. */
function lazily<Value extends object>(make: () => Value): () => Value {
  let value: Value | undefined;
  return () => {
    value ??= make();
    return value;
  };
}
