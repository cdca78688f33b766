/** A network: its first address, and how many leading bits all its addresses share. */
export type Range = readonly [network: string, prefix: number];

/**
 * IPv4 ranges that workflows may not reach: the IANA special-purpose registry
 * (https://www.iana.org/assignments/iana-ipv4-special-registry) without the entries that are globally reachable,
 * multicast, and the one public address behind which a cloud answers its own virtual machines.
 */
export const ipv4Special: readonly Range[] = [
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
 * The only IPv6 space that is given out for the public Internet. All else is refused unseen, and with it every form
 * outside this space in which an IPv4 address can hide: mapped, translated, compatible, and NAT64.
 */
export const ipv6Global: Range = ["2000::", 3];

/**
 * What is special inside the global space (https://www.iana.org/assignments/iana-ipv6-special-registry): protocol
 * assignments with Teredo, benchmarking and ORCHID; 6to4; documentation. Teredo and 6to4 carry an IPv4 address that a
 * relay unpacks.
 */
export const ipv6Special: readonly Range[] = [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
];
