import { BlockList, isIP, isIPv4, isIPv6 } from "node:net";
import { domainToASCII } from "node:url";

/**
 * The allow list of internal hosts that workflows may call. Addresses are compared as numbers, names as lower-case ASCII.
 */
export type EgressAllow = {
  /** `host` for any port, `host:port` for one. */
  readonly names: ReadonlySet<string>;
  /** Addresses and networks on any port. */
  readonly networks: BlockList;
  /** Addresses on one port. */
  readonly networksByPort: ReadonlyMap<number, BlockList>;
};

/** Lists every bad entry of an allow list, one in a line. */
export class EgressAllowError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.name = "EgressAllowError";
    this.problems = problems;
  }
}

/**
 * Parses a comma-separated list of `host`, `host:port` and CIDR entries. An IPv6 address with a port stands in brackets. An
 * entry without a port allows every port. Throws EgressAllowError with all problems at once.
 */
export function parseEgressAllow(text: string): EgressAllow {
  const names = new Set<string>();
  const networks = new BlockList();
  const networksByPort = new Map<number, BlockList>();
  const problems: string[] = [];
  for (const written of text.split(",").map((part) => part.trim())) {
    if (written === "") {
      continue;
    }
    const entry = parseEntry(written);
    if (entry === undefined) {
      problems.push(`"${written}" must be a host, host:port, an address, or a network such as 10.0.0.0/8`);
    } else if ("name" in entry) {
      names.add(nameKey(entry));
    } else {
      const list = entry.port === undefined ? networks : (networksByPort.get(entry.port) ?? new BlockList());
      list.addSubnet(entry.address, entry.prefix, familyOf(entry.address));
      if (entry.port !== undefined) {
        networksByPort.set(entry.port, list);
      }
    }
  }
  if (problems.length > 0) {
    throw new EgressAllowError(problems);
  }
  return { names, networks, networksByPort };
}

/** Whether the list has a host by its name. `host` is in the form of `plainHost`. */
export function allowsName(allow: EgressAllow, { host, port }: { host: string; port: number }): boolean {
  return allow.names.has(nameKey({ name: host })) || allow.names.has(nameKey({ name: host, port }));
}

/** Whether the list has an IP address with a port. */
export function allowsAddress(allow: EgressAllow, { address, port }: { address: string; port: number }): boolean {
  const family = familyOf(address);
  return allow.networks.check(address, family) || allow.networksByPort.get(port)?.check(address, family) === true;
}

/** Whether the list has the host of a URL, which is a name or an address. */
export function allowsHost(allow: EgressAllow, { hostname, port: text, protocol }: URL): boolean {
  const port = Number(text || (protocol === "https:" ? 443 : 80));
  const address = hostname.replace(/^\[(.*)\]$/, "$1");
  return isIP(address) === 0 ? allowsName(allow, { host: hostname, port }) : allowsAddress(allow, { address, port });
}

/** The name of an address family in `BlockList`. */
export function familyOf(address: string): "ipv4" | "ipv6" {
  return isIPv4(address) ? "ipv4" : "ipv6";
}

type Network = { readonly address: string; readonly prefix: number; readonly port?: number };
type Name = { readonly name: string; readonly port?: number };

function parseEntry(written: string): Network | Name | undefined {
  if (written.includes("/")) {
    return parseNetwork(written);
  }
  if (isIP(written) !== 0) {
    return singleAddress(written);
  }
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(written) ?? [];
  const port = digits === undefined ? {} : { port: Number(digits) };
  if (port.port === 0 || (port.port ?? 0) > 65_535) {
    return undefined;
  }
  if (bracketed !== undefined) {
    return isIPv6(bracketed) ? singleAddress(bracketed, port) : undefined;
  }
  if (plain === undefined) {
    return undefined;
  }
  if (isIPv4(plain)) {
    return singleAddress(plain, port);
  }
  const name = domainToASCII(plain.replace(/\.$/, ""));
  return isName(name) ? { name, ...port } : undefined;
}

function parseNetwork(written: string): Network | undefined {
  const [, address = "", digits] = /^([^/]+)\/(\d{1,3})$/.exec(written) ?? [];
  const prefix = Number(digits);
  if (isIP(address) === 0 || address.includes("%")) {
    return undefined;
  }
  return prefix <= bitsOf(address) ? { address, prefix } : undefined;
}

function singleAddress(address: string, port: { readonly port?: number } = {}): Network | undefined {
  return address.includes("%") ? undefined : { address, prefix: bitsOf(address), ...port };
}

function bitsOf(address: string): number {
  return isIPv4(address) ? 32 : 128;
}

/** Refuses names that a URL reads as an address: an entry such as `127.1` is more likely a slip than meant as 127.0.0.1. */
function isName(name: string): boolean {
  return /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(name) && isIP(name) === 0;
}

function nameKey({ name, port }: Name): string {
  return port === undefined ? name : `${name}:${port}`;
}
