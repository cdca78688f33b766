import { BlockList, isIP } from "node:net";
import { allowsAddress, allowsName, type EgressAllow, familyOf } from "./egress-allow-list.ts";
import { HttpFailure } from "./http-failure.ts";
import { ipv4Special, ipv6Global, ipv6Special } from "./special-purpose-ranges.ts";

/** The destination of a connection. `host` is in the form of `plainHost`. */
export type Destination = { readonly host: string; readonly port: number };

/**
 * Prevents SSRF (server-side request forgery): decides which addresses workflows may connect to. It checks addresses after
 * their resolution and as numbers, so that no spelling of an address and no DNS name can bypass it.
 */
export class SsrfGuard {
  readonly #allow: EgressAllow;
  readonly #special = new BlockList();
  readonly #ipv6Global = new BlockList();

  constructor(allow: EgressAllow) {
    this.#allow = allow;
    for (const [network, prefix] of ipv4Special) {
      this.#special.addSubnet(network, prefix, "ipv4");
    }
    for (const [network, prefix] of ipv6Special) {
      this.#special.addSubnet(network, prefix, "ipv6");
    }
    this.#ipv6Global.addSubnet(...ipv6Global, "ipv6");
  }

  /**
   * Throws HttpFailure unless every address is allowed. One internal address is enough to refuse a name, because a name with a
   * public and an internal address is a sign of DNS rebinding. The message does not reveal the addresses.
   */
  check({ host, port }: Destination, addresses: readonly string[]): void {
    if (allowsName(this.#allow, { host, port }) && addresses.every((address) => isPlainAddress(address))) {
      return;
    }
    const refused = addresses.filter(
      (address) => !isPlainAddress(address) || !allowsAddress(this.#allow, { address, port }),
    );
    if (refused.length > 0 && deniedPorts.has(port)) {
      throw new HttpFailure(
        "EGRESS_REFUSED",
        `Port ${port} is not a port for HTTP. Use another, or have ${JSON.stringify(host)} allowed by FLOWCALL_EGRESS_ALLOW.`,
      );
    }
    if (!refused.every((address) => this.isPublic(address))) {
      throw new HttpFailure(
        "EGRESS_REFUSED",
        `${JSON.stringify(host)} does not lead to public addresses only. Call a public host, or have this one allowed by FLOWCALL_EGRESS_ALLOW.`,
      );
    }
  }

  /** Whether the allow list has a destination by its own name or address. */
  isListed({ host, port }: Destination): boolean {
    return isIP(host) === 0
      ? allowsName(this.#allow, { host, port })
      : allowsAddress(this.#allow, { address: host, port });
  }

  /** Whether a text is an address of the public Internet. */
  isPublic(address: string): boolean {
    if (!isPlainAddress(address)) {
      return false;
    }
    const family = familyOf(address);
    if (this.#special.check(address, family)) {
      return false;
    }
    return family === "ipv4" || this.#ipv6Global.check(address, family);
  }
}

/** Whether a text is an address without a zone. A zone names an interface of this machine, which no public address has. */
function isPlainAddress(address: string): boolean {
  return isIP(address) !== 0 && !address.includes("%");
}

/**
 * Ports of other protocols, which could read a request as commands of theirs (cross-protocol attack): the "bad ports" of the
 * Fetch standard (https://fetch.spec.whatwg.org/#port-blocking), then file sharing, remote desktops, databases, caches,
 * queues and coordination services.
 */
export const deniedPorts: ReadonlySet<number> = new Set([
  0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110,
  111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532,
  540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061,
  6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,

  445, 873, 1433, 1521, 1883, 2181, 3306, 3389, 4222, 5432, 5672, 5900, 6379, 6380, 6432, 8883, 9042, 9092, 11211,
  27017, 27018, 27019,
]);
