import ipaddr from "ipaddr.js";
import { describe, expect, test } from "vitest";
import { parseEgressAllow } from "../../../src/engine/http/egress-allow-list.ts";
import { ipv4Special, ipv6Special } from "../../../src/engine/http/special-purpose-ranges.ts";
import { deniedPorts, SsrfGuard } from "../../../src/engine/http/ssrf-guard.ts";
import { countDials, expectNoAddress, failureOf, listen, request, serve, startClient } from "./outside.ts";
import { insideNames, urlForms } from "./url-forms.ts";

/** Two listeners on one port, so that either loopback would be noticed. */
async function listenOnLoopbacks() {
  const ipv4 = await listen((socket) => socket.destroy());
  const ipv6 = await listen((socket) => socket.destroy(), { address: "::1", port: ipv4.port });
  return { ipv4, ipv6, port: ipv4.port };
}

describe("a workflow reaches public addresses only", () => {
  test("no spelling of an inside address leads to a connection", async () => {
    const { ipv4, ipv6, port } = await listenOnLoopbacks();
    const dials = countDials();
    const client = await startClient({ resolve: async () => ["127.0.0.1", "::1"] });
    const urls = [...urlForms(port), ...insideNames.map((name) => `http://${name}:${port}/`)];
    const open: string[] = [];
    for (const url of urls) {
      const failure = await failureOf(client.send(request(url)));
      if (failure.reason !== "EGRESS_REFUSED" && failure.reason !== "URL_INVALID") {
        open.push(url);
      }
      expect(failure.isDefinite).toBe(false);
    }
    expect(open).toEqual([]);
    expect(urls.length).toBe(612);
    expect(new Set(urls).size).toBeGreaterThan(500);
    expect(dials()).toBe(0);
    expect([ipv4.sockets.length, ipv6.sockets.length]).toEqual([0, 0]);
  });

  test.each([
    ["only loopback", ["127.0.0.1"]],
    ["a public and an inside address", ["93.184.216.34", "127.0.0.1"]],
    ["an inside and a public address", ["::1", "93.184.216.34"]],
    ["a public A and an inside AAAA", ["93.184.216.34", "::ffff:127.0.0.1"]],
    ["an inside A and a public AAAA", ["127.0.0.1", "2606:2800:220:1::1"]],
    ["an inside address behind a hundred public ones", [...Array(100).fill("93.184.216.34"), "127.0.0.1"]],
    ["an address with a zone", ["2606:2800:220:1::1%lo"]],
    ["what is not an address", ["0x7f.1"]],
    ["a name", ["localhost"]],
  ])("a name that leads to %s is not dialled", async (_case, addresses) => {
    const dials = countDials();
    const client = await startClient({ resolve: async () => addresses });
    const failure = await failureOf(client.send(request("http://rebound.example/")));
    expect(failure.reason).toBe("EGRESS_REFUSED");
    expectNoAddress(failure);
    expect(dials()).toBe(0);
  });

  test("a name is resolved once for a connection, so that no second answer is dialled", async () => {
    const { ipv4, ipv6, port } = await listenOnLoopbacks();
    const asked: string[] = [];
    // The allowed address stands for a public one here: no test may dial a real one.
    const client = await startClient({
      allow: `127.0.0.1:${port}`,
      resolve: async (hostname) => [asked.push(hostname) % 2 === 1 ? "127.0.0.1" : "::1"],
    });
    for (let turn = 0; turn < 100; turn += 1) {
      const failure = await failureOf(client.send(request(`http://flip${turn}.example:${port}/`)));
      expect(failure.reason).toBe(turn % 2 === 0 ? "CONNECTION_FAILED" : "EGRESS_REFUSED");
    }
    expect(asked.length).toBe(100);
    expect([ipv4.sockets.length, ipv6.sockets.length]).toEqual([50, 0]);
  });

  test.each([
    ["8.8.8.8", true],
    ["9.255.255.255", true],
    ["10.0.0.0", false],
    ["10.255.255.255", false],
    ["11.0.0.0", true],
    ["100.63.255.255", true],
    ["100.64.0.0", false],
    ["100.127.255.255", false],
    ["100.128.0.0", true],
    ["126.255.255.255", true],
    ["128.0.0.0", true],
    ["169.253.255.255", true],
    ["169.255.0.0", true],
    ["172.15.255.255", true],
    ["172.31.255.255", false],
    ["172.32.0.0", true],
    ["192.0.1.0", true],
    ["192.0.2.255", false],
    ["192.31.196.1", true],
    ["192.167.255.255", true],
    ["192.169.0.0", true],
    ["198.17.255.255", true],
    ["198.19.255.255", false],
    ["198.20.0.0", true],
    ["203.0.113.1", false],
    ["223.255.255.255", true],
    ["224.0.0.0", false],
    ["239.255.255.255", false],
    ["2606:4700:4700::1111", true],
    ["2001:1ff:ffff::", false],
    ["2001:200::1", true],
    ["2001:db9::1", true],
    ["2003::1", true],
    ["3ffe:ffff::1", true],
    ["3fff:0fff::1", false],
    ["3fff:1000::1", true],
    ["4000::1", false],
    ["1fff::1", false],
    ["::ffff:8.8.8.8", false],
    ["64:ff9b::8.8.8.8", false],
    ["2606:4700::1%eth0", false],
    ["", false],
    ["example.com", false],
  ])("%j is public: %j", (address, isPublic) => {
    expect(new SsrfGuard(parseEgressAllow("")).isPublic(address)).toBe(isPublic);
  });

  test("what ipaddr.js knows as special is refused, but for what IANA calls globally reachable", () => {
    const rules = new SsrfGuard(parseEgressAllow(""));
    const known = [...knownRanges(ipaddr.IPv4), ...knownRanges(ipaddr.IPv6)];
    expect(known.length).toBeGreaterThan(35);
    const reached = known.filter(({ first, last }) => rules.isPublic(first) || rules.isPublic(last));
    // AS112 (RFC 7534, RFC 7535) and AMT (RFC 7450).
    expect(reached.map(({ range }) => range).sort()).toEqual([
      "192.175.48.0/24",
      "192.31.196.0/24",
      "192.52.193.0/24",
      "2620:4f:8000::/48",
    ]);
  });

  test("what is refused is special to ipaddr.js too, but for one address of a cloud", () => {
    const refused = [...ipv4Special, ...ipv6Special].filter(([network]) => ipaddr.parse(network).range() === "unicast");
    expect(refused).toEqual([["168.63.129.16", 32]]);
  });
});

/** All special ranges that ipaddr.js has, of which its types say nothing. */
function knownRanges(family: typeof ipaddr.IPv4 | typeof ipaddr.IPv6) {
  type Known = readonly [network: ipaddr.IPv4 | ipaddr.IPv6, prefix: number];
  const special: Readonly<Record<string, Known | readonly Known[]>> = Object(family.prototype)["SpecialRanges"];
  const isOne = (ranges: Known | readonly Known[]): ranges is Known => typeof ranges[1] === "number";
  return Object.values(special)
    .flatMap((ranges) => (isOne(ranges) ? [ranges] : ranges))
    .map(([network, prefix]) => {
      const range = `${network}/${prefix}`;
      return { range, first: String(network), last: String(family.broadcastAddressFromCIDR(range)) };
    });
}

describe("a workflow speaks HTTP only", () => {
  test.each([
    "file:///etc/passwd",
    "ftp://public.example/",
    "gopher://public.example:6379/_FLUSHALL",
    "data:text/plain,x",
    "blob:http://public.example/x",
    "unix:/var/run/docker.sock",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/",
    "ws://public.example/",
    "javascript:1",
    "https:",
    "http://",
    "/path",
    "",
    "http://public.example:99999/",
    "http://public example/",
    "http://public.example/%0d%0a".padEnd(20_000, "x"),
  ])("%j is refused", async (url) => {
    const dials = countDials();
    const client = await startClient();
    expect((await failureOf(client.send(request(url)))).reason).toMatch(/^(URL_INVALID|EGRESS_REFUSED)$/);
    expect(dials()).toBe(0);
  });

  test("ports of other protocols are refused on public hosts too", async () => {
    const dials = countDials();
    const client = await startClient({ resolve: async () => ["93.184.216.34"] });
    expect([22, 25, 445, 3306, 5432, 6379, 9092, 11211, 27017].filter((port) => !deniedPorts.has(port))).toEqual([]);
    for (const port of deniedPorts) {
      const failure = await failureOf(client.send(request(`http://public.example:${port}/`)));
      expect(failure.reason).toBe("EGRESS_REFUSED");
      expect(failure.message).toContain(`Port ${port} `);
    }
    expect(dials()).toBe(0);
  });
});

describe("the allow list opens what it names, and nothing beside it", () => {
  const guard = (allow: string) => new SsrfGuard(parseEgressAllow(allow));

  test.each([
    ["10.0.0.0/8", "10.1.2.3", 80, ["10.1.2.3"], true],
    ["10.0.0.0/8", "11.1.2.3", 80, ["192.168.0.1"], false],
    ["10.0.0.0/8", "inside.example", 6379, ["10.1.2.3"], true],
    ["10.0.0.0/8", "mixed.example", 80, ["10.1.2.3", "127.0.0.1"], false],
    ["10.0.0.0/8", "mixed.example", 80, ["10.1.2.3", "8.8.8.8"], true],
    ["127.0.0.1:8080", "127.0.0.1", 8080, ["127.0.0.1"], true],
    ["127.0.0.1:8080", "127.0.0.1", 8081, ["127.0.0.1"], false],
    ["127.0.0.1:8080", "127.0.0.2", 8080, ["127.0.0.2"], false],
    ["[::1]:8080", "::1", 8080, ["::1"], true],
    ["[::1]:8080", "::1", 80, ["::1"], false],
    ["::1", "::1", 80, ["::1"], true],
    ["fd00::/8", "fd00::5", 80, ["fd00::5"], true],
    ["inside.example", "inside.example", 5432, ["10.0.0.1"], true],
    ["inside.example:8080", "inside.example", 8080, ["10.0.0.1"], true],
    ["inside.example:8080", "inside.example", 80, ["10.0.0.1"], false],
    ["inside.example", "a.inside.example", 80, ["10.0.0.1"], false],
    ["inside.example", "inside.example", 80, ["not an address"], false],
    ["bücher.example.", "xn--bcher-kva.example", 80, ["10.0.0.1"], true],
    ["INSIDE.example", "inside.example", 80, ["10.0.0.1"], true],
    ["other.example", "public.example", 80, ["8.8.8.8"], true],
    ["other.example", "public.example", 25, ["8.8.8.8"], false],
    ["public.example:25", "public.example", 25, ["8.8.8.8"], true],
    ["", "public.example", 8443, ["8.8.8.8"], true],
  ])("%j lets %j:%j at %j through: %j", (allow, host, port, addresses, isAllowed) => {
    const check = () => guard(allow).check({ host, port }, addresses);
    if (isAllowed) {
      expect(check).not.toThrow();
    } else {
      expect(check).toThrow(expect.objectContaining({ reason: "EGRESS_REFUSED" }));
    }
  });

  test("every bad entry is named at once", () => {
    const bad = [
      "10.0.0.0/33",
      "10.0/8",
      "::1/129",
      "fe80::1%lo",
      "127.1",
      "0x7f.1",
      "2130706433",
      "host:0",
      "host:65536",
      "host:http",
      "http://host",
      "*.example",
      "user@host",
      "[host]:80",
      "a b",
      "host:",
      "[::1",
      "10.0.0.0/8:80",
      "a..b",
    ];
    expect(() => parseEgressAllow(["fine.example", ...bad, "10.0.0.0/8"].join(", "))).toThrow(
      expect.objectContaining({ problems: bad.map((entry) => expect.stringContaining(JSON.stringify(entry))) }),
    );
  });

  test("an empty list, and empty entries, allow nothing", () => {
    for (const text of ["", " ", ",", " , "]) {
      expect(parseEgressAllow(text).names.size).toBe(0);
    }
  });

  test("an allowed address is called by any name that leads there", async () => {
    const server = await serve();
    const client = await startClient({ allow: `127.0.0.1:${server.port}`, resolve: async () => ["127.0.0.1"] });
    const answer = await client.send(request(`http://named.example.:${server.port}/`));
    expect(answer.status).toBe(200);
    expect(server.requests[0]?.headers.host).toBe(`named.example.:${server.port}`);
  });
});
