/** Spellings of addresses that are not public, after reliability.md F-1, each with the port of a listener. */
export function urlForms(port: number): readonly string[] {
  const hosts = [
    ...ipv4Bases.flatMap((base) => ipv4Spellings(base)),
    ...ipv6Bases.flatMap((base) => ipv6Spellings(base)),
    ...ipv4Bases.flatMap((base) => embeddings(base)),
  ];
  const whole = ["127.0.0.1", "169.254.169.254", "10.0.0.1", "[::1]"].flatMap((host) => aroundHost(host, port));
  return [...hosts.map((host) => `http://${host}:${port}/`), ...whole];
}

const ipv4Bases = [
  "127.0.0.1",
  "127.8.9.1",
  "0.0.0.0",
  "10.0.0.1",
  "100.64.0.1",
  "100.100.100.200",
  "169.254.169.254",
  "172.16.0.1",
  "192.0.0.192",
  "192.168.0.1",
  "198.18.0.1",
  "224.0.0.1",
  "240.0.0.1",
  "255.255.255.255",
  "168.63.129.16",
] as const;

const ipv6Bases = [
  "::",
  "::1",
  "fe80::1",
  "fec0::1",
  "fc00::1",
  "fd00:ec2::254",
  "ff02::1",
  "100::1",
  "2001:db8::1",
  "2001:2::1",
  "3fff::1",
  "5f00::1",
] as const;

function ipv4Spellings(base: string): readonly string[] {
  const [a = 0, b = 0, c = 0, d = 0] = base.split(".").map(Number);
  const number = ((a * 256 + b) * 256 + c) * 256 + d;
  const octal = (part: number) => `0${part.toString(8)}`;
  const hex = (part: number) => `0x${part.toString(16)}`;
  return [
    base,
    `${number}`,
    `0${number.toString(8)}`,
    `0x${number.toString(16)}`,
    `0X${number.toString(16).toUpperCase()}`,
    `${a}.${(b * 256 + c) * 256 + d}`,
    `${a}.${b}.${c * 256 + d}`,
    [a, b, c, d].map(octal).join("."),
    [a, b, c, d].map((part) => `000${part.toString(8)}`).join("."),
    [a, b, c, d].map(hex).join("."),
    `${hex(a)}.${octal(b)}.${c * 256 + d}`,
    `${base}.`,
    [...base].map((character) => fullWidth(character)).join(""),
    base.replace(/[1-9]/g, (digit) => String.fromCodePoint(0x2460 + Number(digit) - 1)),
    base.replaceAll(".", "。"),
    base.replaceAll(".", "．"),
    base.replace(".", "\u00ad."),
    base.replace(/\d/g, (digit) => `%3${digit}`),
    base.replace(".", "%2e"),
    base.replace(".", "\t."),
    base.replace(".", "\n."),
  ];
}

function fullWidth(character: string): string {
  return character === "." ? character : String.fromCodePoint(0xff10 + Number(character));
}

function ipv6Spellings(base: string): readonly string[] {
  const groups = expanded(base);
  return [
    `[${base}]`,
    `[${base.toUpperCase()}]`,
    `[${groups.join(":")}]`,
    `[${groups.map((group) => group.padStart(4, "0")).join(":")}]`,
    `[${base}%25lo]`,
    `[${base}%lo]`,
  ];
}

function expanded(base: string): readonly string[] {
  const [head = "", tail = ""] = base.split("::");
  const left = head.split(":").filter((group) => group !== "");
  const right = tail.split(":").filter((group) => group !== "");
  return [...left, ...Array.from({ length: 8 - left.length - right.length }, () => "0"), ...right];
}

/** IPv6 addresses that carry an IPv4 address. */
function embeddings(base: string): readonly string[] {
  const [a = 0, b = 0, c = 0, d = 0] = base.split(".").map(Number);
  const group = (high: number, low: number) => (high * 256 + low).toString(16);
  const hex = `${group(a, b)}:${group(c, d)}`;
  const flipped = `${group(255 - a, 255 - b)}:${group(255 - c, 255 - d)}`;
  return [
    `[::ffff:${base}]`,
    `[::ffff:${hex}]`,
    `[0:0:0:0:0:FFFF:${hex}]`,
    `[::${base}]`,
    `[::ffff:0:${base}]`,
    `[64:ff9b::${base}]`,
    `[64:ff9b:1::${base}]`,
    `[2002:${hex}::1]`,
    `[2001:0:0102:0304:0:0:${flipped}]`,
  ];
}

/** Spellings of all else in a URL. */
function aroundHost(host: string, port: number): readonly string[] {
  return [
    `HTTP://${host}:${port}/`,
    `hTtPs://${host}:${port}/`,
    `http:${host}:${port}/`,
    `http:/${host}:${port}/`,
    `http:///${host}:${port}/`,
    `http:\\\\${host}:${port}\\`,
    `\t http://${host}:${port}/`,
    ` http://${host}:${port}/ `,
    `http://user@${host}:${port}/`,
    `http://user:password@${host}:${port}/`,
    `http://public.example@${host}:${port}/`,
    `http://public.example\\@${host}:${port}/`,
    `http://${host}:${port}\\@public.example/`,
    `http://${host}:${port}#@public.example/`,
    `http://${host}:${port}?@public.example/`,
    `http://${host}:00${port}/`,
    `//${host}:${port}/`,
    `${host}:${port}/`,
  ];
}

/** Names that lead inside. The resolver of the test answers each with loopback. */
export const insideNames = [
  "localhost",
  "LOCALHOST",
  "localhost.",
  "localhost..",
  "a.localhost",
  "localhost.localdomain",
  "ip6-localhost",
  "metadata.google.internal",
  "metadata",
  "instance-data",
  "kubernetes.default.svc",
  "host.docker.internal",
  "127.0.0.1.nip.io",
  "7f000001.nip.io",
  "127.0.0.1..",
  "1.0.0.127.in-addr.arpa",
  "xn--lcalhost-n4a.example",
  "ｌｏｃａｌｈｏｓｔ",
] as const;
