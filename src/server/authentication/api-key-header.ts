import type { RequestHeaders } from "../../domain/http/call.ts";
import { reasons } from "../../domain/reason.ts";
import { RequestError } from "../../domain/request-error.ts";

/** A bearer token (RFC 6750, section 2.1). The scheme's name is read in any case (RFC 9110, section 11.1). */
const bearer = /^bearer +(\S+) *$/i;

/**
 * The API key of a request: in `x-api-key`, or as a bearer token in `authorization`. Throws MISSING_API_KEY where there is
 * none, and INVALID_API_KEY where there are several that differ, or one header is there twice.
 */
export function apiKeyOf(headers: RequestHeaders): string {
  const keys = headers.get("x-api-key");
  const credentials = headers.get("authorization");
  const key = keys?.[0];
  if (key && keys.length === 1 && credentials === undefined) {
    return key;
  }
  if (key && keys.length > 1) {
    throw keyRefusal("INVALID_API_KEY", "The header x-api-key is given more than once; send it once.");
  }
  const token = tokenOf(credentials);
  if (key && token !== undefined && token !== key) {
    throw keyRefusal(
      "INVALID_API_KEY",
      "The headers x-api-key and authorization hold different API keys; send one of them.",
    );
  }
  const given = key || token;
  if (given) {
    return given;
  }
  const hint = credentials === undefined ? "" : " The header authorization holds no bearer token.";
  throw keyRefusal(
    "MISSING_API_KEY",
    `Send an API key in the header x-api-key, or as a bearer token in the header authorization.${hint}`,
  );
}

/** Whether a request holds an API key, or several. An empty header counts as absent, and so do other credentials. */
export function hasApiKey(headers: RequestHeaders): boolean {
  const keys = headers.get("x-api-key") ?? [];
  const credentials = headers.get("authorization") ?? [];
  return keys.some((key) => key !== "") || credentials.some((text) => bearer.test(text));
}

/** A refusal with status 401, which names how to authenticate (RFC 9110, section 11.6.1; RFC 6750, section 3). */
export function keyRefusal(reason: "MISSING_API_KEY" | "INVALID_API_KEY", message: string = reasons[reason].message) {
  const challenge = `Bearer realm="flowcall"${reason === "INVALID_API_KEY" ? ', error="invalid_token"' : ""}`;
  return new RequestError(reason, message, { headers: { "www-authenticate": challenge } });
}

/** The token of `authorization`; undefined where it holds other credentials, which are for a proxy in between. */
function tokenOf(credentials: readonly string[] | undefined): string | undefined {
  const tokens = credentials?.flatMap((text) => bearer.exec(text)?.[1] ?? []) ?? [];
  if (tokens.length > 1) {
    throw keyRefusal("INVALID_API_KEY", "The header authorization is given more than once; send it once.");
  }
  return tokens[0];
}
