import type { FieldViolation } from "../../domain/request-error.ts";
import { unreachable } from "../../domain/unreachable.ts";
import type { Auth, AuthBasic, AuthField } from "../../gen/flowcall/v1/integration_pb.ts";
import { HttpFailure } from "../http/http-failure.ts";
import { checkRequestHeaders } from "../http/request-headers.ts";
import type { ApiDeclaration } from "./api-declaration.ts";
import { type BaseUrl, parseBaseUrl } from "./base-url.ts";
import { type CredentialText, CredentialTextError, namesIn, parseCredentialText } from "./credential-text.ts";
import { type HostRule, parseHostRule } from "./host-rule.ts";

/** The same, parsed: where the credentials of a connection may be sent, and how. */
export type ApiRules = {
  readonly baseUrl: BaseUrl | undefined;
  readonly hosts: readonly HostRule[];
  readonly auth: ParsedAuth | undefined;
};

export type ParsedAuth =
  | { readonly kind: "headers" | "query"; readonly fields: readonly NamedText[] }
  | { readonly kind: "basic"; readonly username: CredentialText; readonly password: CredentialText };

type NamedText = { readonly key: string; readonly value: CredentialText };

/** Parses what an integration says of its API. Reports by `report` what is wrong with a part, and leaves it out. */
export function parseApi(
  { baseUrl, hosts, auth }: ApiDeclaration,
  report: (violation: FieldViolation) => void = () => undefined,
): ApiRules {
  const attempt = <Value>(field: string, parse: () => Value): Value | undefined => {
    try {
      return parse();
    } catch (error) {
      if (!(error instanceof CredentialTextError)) {
        throw error;
      }
      report({ field, description: error.message });
      return undefined;
    }
  };
  return {
    baseUrl: baseUrl === undefined ? undefined : attempt("base_url", () => parseBaseUrl(baseUrl)),
    hosts: hosts.flatMap((host, index) => attempt(`hosts[${index}]`, () => hostRule(host)) ?? []),
    auth: auth && parseAuth(auth, attempt),
  };
}

type TryParse = <Value>(field: string, parse: () => Value) => Value | undefined;

function parseAuth({ scheme }: Auth, attempt: TryParse): ParsedAuth | undefined {
  switch (scheme.case) {
    case undefined:
      return attempt("auth", () => {
        throw new CredentialTextError("has no scheme. Set headers, query or basic");
      });
    case "headers":
    case "query": {
      const path = `auth.${scheme.case}.fields`;
      const check = scheme.case === "headers" ? checkHeader : checkParameter;
      const fields = scheme.value.fields.flatMap((field, index) => {
        const value = attempt(`${path}[${index}].value`, () => parseCredentialText(field.value));
        return attempt(`${path}[${index}].key`, () => check(field)) && value ? [{ key: field.key, value }] : [];
      });
      return { kind: scheme.case, fields };
    }
    case "basic":
      return parseBasic(scheme.value, attempt);
    default:
      return unreachable(scheme);
  }
}

function parseBasic({ username, password = "" }: AuthBasic, attempt: TryParse): ParsedAuth {
  return {
    kind: "basic",
    username: attempt("auth.basic.username", () => parseCredentialText(username)) ?? [],
    password: attempt("auth.basic.password", () => parseCredentialText(password)) ?? [],
  };
}

function hostRule(text: string): HostRule {
  const rule = parseHostRule(text);
  if (rule === undefined) {
    throw new CredentialTextError("is not a host. Write one as api.example.com, or all below one as *.example.com");
  }
  return rule;
}

function checkHeader({ key }: AuthField): true {
  try {
    checkRequestHeaders([[key, ""]]);
    return true;
  } catch (error) {
    throw error instanceof HttpFailure
      ? new CredentialTextError(`is refused: ${error.message.replace(/\.$/, "")}`)
      : error;
  }
}

function checkParameter({ key }: AuthField): true {
  if (key.includes("{{")) {
    throw new CredentialTextError("has a template, and a name cannot have one");
  }
  return true;
}

/**
 * The names of the credentials that are secrets: those that are sent as such. One that stands in the base URL or as a user
 * name and nowhere else is none: answers repeat it all the time. A user name without a password is a key, and so a secret.
 */
export function secretNamesOf({ auth }: ApiRules): readonly string[] {
  switch (auth?.kind) {
    case undefined:
      return [];
    case "basic": {
      const names = namesIn(auth.password);
      return names.length > 0 ? names : namesIn(auth.username);
    }
    case "headers":
    case "query":
      return auth.fields.flatMap(({ value }) => namesIn(value));
    default:
      return unreachable(auth);
  }
}

/** The names of the credentials that the integration uses and that are no secrets. */
export function plainNamesOf(rules: ApiRules): readonly string[] {
  const { auth, baseUrl } = rules;
  const secrets = secretNamesOf(rules);
  const used = [...(baseUrl?.names ?? []), ...(auth?.kind === "basic" ? namesIn(auth.username) : [])];
  return used.filter((name) => !secrets.includes(name));
}
