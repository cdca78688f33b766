import { plainHost, portOf } from "../http/target-url.ts";

/** Hosts that secrets may be sent to: an exact one, or all below it. */
export type HostRule = {
  readonly host: string;
  readonly isWildcard: boolean;
  /** Absent where it is the scheme's own. */
  readonly port?: number;
};

/** Parses `api.example.com`, `*.example.com` and `localhost:8080`. Undefined for what is no such rule. */
export function parseHostRule(text: string): HostRule | undefined {
  const [, star, name = "", port] = /^(\*\.)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  const isWildcard = star !== undefined;
  const host = URL.parse(`https://${name}/`)?.hostname;
  // A rule for all hosts of a public suffix such as .com would be one for everybody's.
  if (host === undefined || (isWildcard && !/^[^.]+\.[^.]+/.test(host)) || Number(port ?? 1) > 65_535 || port === "0") {
    return undefined;
  }
  return { host: plainHost(host), isWildcard, ...(port !== undefined && { port: Number(port) }) };
}

export function isHostIn(rules: readonly HostRule[], url: URL): boolean {
  const host = plainHost(url.hostname);
  return rules.some(
    (rule) =>
      (rule.isWildcard ? host.endsWith(`.${rule.host}`) : host === rule.host) &&
      (rule.port === undefined ? url.port === "" : rule.port === portOf(url)),
  );
}
