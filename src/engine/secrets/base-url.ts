import { HttpFailure } from "../http/http-failure.ts";
import { readTargetUrl } from "../http/target-url.ts";
import {
  type CredentialText,
  CredentialTextError,
  namesIn,
  parseCredentialText,
  type ReadCredential,
} from "./credential-text.ts";

/** The base URL of an API, with credentials in the first labels of its host or in its path. */
export type BaseUrl = {
  readonly names: readonly string[];
  /** Gives the URL without a final slash. Throws CredentialTextError for a credential that would lead elsewhere. */
  render(read: ReadCredential): string;
};

/** Parses a base URL. Throws CredentialTextError. */
export function parseBaseUrl(text: string): BaseUrl {
  const [, origin = "", authority, path = ""] = /^(https?:\/\/)([^/?#@\\]+)(\/[^?#\\]*)?$/i.exec(text) ?? [];
  if (authority === undefined) {
    throw new CredentialTextError('is not a URL such as https://api.example.com/v3, without "?", "#" and "@"');
  }
  const [, hostText = "", port = ""] = /^(.*?)(:\d{1,5})?$/.exec(authority) ?? [];
  const host = parseCredentialText(hostText);
  const below = parseCredentialText(path.replace(/\/+$/, ""));
  const names = [...namesIn(host), ...namesIn(below)];
  if (namesIn(host).length > 0 && !/(\.[A-Za-z0-9-]+){2}$/.test(lastOf(host))) {
    throw new CredentialTextError("has a credential in the last two labels of its host. Write those out");
  }
  const render: BaseUrl["render"] = (read) =>
    `${origin}${host.map((piece) => (typeof piece === "string" ? piece : labelOf(piece.name, read))).join("")}${port}` +
    below.map((piece) => (typeof piece === "string" ? piece : segmentOf(piece.name, read))).join("");
  checkUrl(render(() => "x"));
  return { names, render };
}

function lastOf(text: CredentialText): string {
  const last = text.at(-1);
  return typeof last === "string" ? last : "";
}

/** A credential is one label of a host, so that it cannot lead to the host of somebody else. */
function labelOf(name: string, read: ReadCredential): string {
  const label = read(name);
  if (!/^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(label)) {
    throw new CredentialTextError(`cannot be used: its credential "${name}" is not one label of a host's name`);
  }
  return label;
}

function segmentOf(name: string, read: ReadCredential): string {
  const segment = read(name);
  if (/^\.{0,2}$/.test(segment)) {
    throw new CredentialTextError(`cannot be used: its credential "${name}" would change the path`);
  }
  return encodeURIComponent(segment.toWellFormed());
}

function checkUrl(url: string): void {
  try {
    readTargetUrl(url);
  } catch (error) {
    throw error instanceof HttpFailure ? new CredentialTextError("cannot be read as a URL") : error;
  }
}
