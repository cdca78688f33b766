import type { Socket } from "node:net";

/**
 * The address that a connection is counted by: its IPv4 address, or the /64 network of its IPv6 address, since one site
 * owns a whole /64 (RFC 6177). Undefined if the client has disconnected.
 */
export function clientAddress({ remoteAddress }: Pick<Socket, "remoteAddress">): string | undefined {
  if (remoteAddress === undefined || !remoteAddress.includes(":")) {
    return remoteAddress;
  }
  const [, mapped] = /^::ffff:([\d.]+)$/i.exec(remoteAddress) ?? [];
  return mapped ?? networkOf(remoteAddress);
}

/** The first four groups of an IPv6 address, without its zone. */
function networkOf(address: string): string {
  const [head = "", tail] = (address.split("%", 1)[0] ?? "").split("::");
  const before = head.split(":").filter(Boolean);
  const behind = tail?.split(":").filter(Boolean) ?? [];
  const zeros = Array.from({ length: Math.max(0, 8 - before.length - behind.length) }, () => "0");
  return `${[...before, ...zeros, ...behind].slice(0, 4).join(":")}::/64`;
}
