import type { Socket } from "node:net";

/**
 * Whom a connection counts for, where callers without a key share something: its IPv4 address, or the /64 of its IPv6
 * address, since one site has all of that (RFC 6177). Undefined where the client has gone.
 */
export function clientAddress({ remoteAddress }: Pick<Socket, "remoteAddress">): string | undefined {
  if (remoteAddress === undefined || !remoteAddress.includes(":")) return remoteAddress;
  const [, mapped] = /^::ffff:([\d.]+)$/i.exec(remoteAddress) ?? [];
  return mapped ?? networkOf(remoteAddress);
}

/** The first four groups of an IPv6 address, its zone left out. */
function networkOf(address: string): string {
  const [head = "", tail] = (address.split("%", 1)[0] ?? "").split("::");
  const before = head.split(":").filter(Boolean);
  const behind = tail?.split(":").filter(Boolean) ?? [];
  const zeros = Array.from({ length: Math.max(0, 8 - before.length - behind.length) }, () => "0");
  return `${[...before, ...zeros, ...behind].slice(0, 4).join(":")}::/64`;
}
