/** A network in CIDR form: its first address and the length of its prefix. */
export type Network = readonly [network: string, prefix: number];

/**
 * IPv4 networks that workflows must not call: the IANA special-purpose registry
 * (https://www.iana.org/assignments/iana-ipv4-special-registry) without its globally reachable entries, multicast, and the
 * public address at which Azure serves its own virtual machines (168.63.129.16).
 */
export const ipv4Special: readonly Network[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["168.63.129.16", 32],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
];

/**
 * The only IPv6 space that is allocated for the public Internet. Everything else is refused, and with it the forms outside of
 * this space that embed an IPv4 address: mapped, translated, compatible, and NAT64.
 */
export const ipv6Global: Network = ["2000::", 3];

/**
 * The special-purpose networks inside of the global space (https://www.iana.org/assignments/iana-ipv6-special-registry):
 * protocol assignments with Teredo, benchmarking and ORCHID; 6to4; documentation. Teredo and 6to4 embed an IPv4 address to
 * which a relay would connect.
 */
export const ipv6Special: readonly Network[] = [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
];
