import { generateKeyPairSync, sign } from "node:crypto";

/** A key and a certificate that is its own authority, made for one test: no private key lies in the repository. */
export function selfSigned(names: { readonly dns: readonly string[]; readonly ipv4: readonly string[] }) {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const ecdsaWithSha256 = der(0x30, der(0x06, Buffer.from("2a8648ce3d040302", "hex")));
  const commonName = der(0x30, der(0x06, Buffer.from("550403", "hex")), der(0x0c, Buffer.from("flowcall test")));
  const name = der(0x30, der(0x31, commonName));
  const validity = der(0x30, der(0x17, Buffer.from("200101000000Z")), der(0x17, Buffer.from("490101000000Z")));
  const alternatives = der(
    0x30,
    ...names.dns.map((dns) => der(0x82, Buffer.from(dns))),
    ...names.ipv4.map((address) => der(0x87, Buffer.from(address.split(".").map(Number)))),
  );
  const alternativeNames = der(0x30, der(0x06, Buffer.from("551d11", "hex")), der(0x04, alternatives));
  const body = der(
    0x30,
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.from([1])),
    ecdsaWithSha256,
    name,
    validity,
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, der(0x30, alternativeNames)),
  );
  const signature = sign("sha256", body, privateKey);
  const certificate = der(0x30, body, ecdsaWithSha256, der(0x03, Buffer.from([0]), signature));
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${certificate.toString("base64")}\n-----END CERTIFICATE-----\n`,
  };
}

/** One DER value (X.690): tag, length, content. */
function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  if (length < 128) {
    return Buffer.concat([Buffer.from([tag, length]), content]);
  }
  return Buffer.concat([Buffer.from([tag, 0x82, length >> 8, length & 255]), content]);
}
