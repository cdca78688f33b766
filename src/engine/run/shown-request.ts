import type { JsonValue } from "@bufbuild/protobuf";
import type { SentRequest } from "../../domain/execution.ts";
import { redacted } from "../../domain/json/redacted.ts";
import { isObject } from "../../domain/json/violations.ts";
import type { LeafRequest } from "../nodes/leaf.ts";

/** More of the text of a body is not kept. */
const bodyCharsMax = 16 * 1024;

/** Larger bodies are not searched for members that are named as credentials are, and not kept if they are JSON. */
const searchedCharsMax = 1024 * 1024;

/** Names of what holds credentials. What is hidden without need costs less than a secret in a record. */
const credentialName =
  /auth|cookie|token|secret|passw|pwd|api[-_]?key|access[-_]?key|signature|credential|session|^(?:key|sig|pin|cvc|cvv|x-.*key)$/i;

/** A request as people may see it, without what is secret in it. */
export function shownRequest(request: LeafRequest, isSecret: boolean): SentRequest {
  const { method, url, headers, secretHeaders, body } = request;
  const isHidden = (name: string) => secretHeaders?.has(name.toLowerCase()) === true || isCredential(name);
  const text = typeof body === "string" ? body : body && Buffer.from(body).toString("utf8");
  return {
    method,
    url: isSecret ? redacted : shownUrl(url),
    headers: headers.map(([key, value]) => ({ key, value: shows(key) ? value : redacted })),
    ...(text !== undefined && (isSecret ? { body: redacted } : cut(shownBody(text, headers)))),
  };

  function shows(name: string): boolean {
    // The name has "key" in it, and the value is no secret.
    return /^idempotency-key$/i.test(name) || (!isSecret && !isHidden(name));
  }
}

function isCredential(name: string): boolean {
  return credentialName.test(name);
}

function shownUrl(text: string): string {
  if (!URL.canParse(text)) {
    return redacted;
  }
  const url = new URL(text);
  url.username &&= redacted;
  url.password &&= redacted;
  for (const name of [...url.searchParams.keys()].filter(isCredential)) {
    url.searchParams.set(name, redacted);
  }
  return url.href.replaceAll(encodeURIComponent(redacted), redacted);
}

function shownBody(text: string, headers: LeafRequest["headers"]): string {
  const type = headers.find(([name]) => /^content-type$/i.test(name))?.[1] ?? "";
  if (/multipart\//i.test(type) || text.length > searchedCharsMax) {
    return redacted;
  }
  if (/x-www-form-urlencoded/i.test(type)) {
    const form = new URLSearchParams(text);
    for (const name of [...form.keys()].filter(isCredential)) {
      form.set(name, redacted);
    }
    return form.toString().replaceAll(encodeURIComponent(redacted), redacted);
  }
  try {
    // JSON.parse answers a JSON value.
    return JSON.stringify(withoutCredentials(JSON.parse(text) as JsonValue));
  } catch {
    return text;
  }
}

function withoutCredentials(value: JsonValue): JsonValue {
  if (Array.isArray(value)) {
    return value.map(withoutCredentials);
  }
  if (!isObject(value)) {
    return value;
  }
  const members = Object.entries(value).map(([name, member]): [string, JsonValue] => [
    name,
    isCredential(name) && member !== null ? redacted : withoutCredentials(member),
  ]);
  return Object.fromEntries(members);
}

function cut(text: string): Pick<SentRequest, "body" | "is_cut"> {
  return text.length > bodyCharsMax
    ? { body: text.slice(0, bodyCharsMax).toWellFormed(), is_cut: true }
    : { body: text };
}
