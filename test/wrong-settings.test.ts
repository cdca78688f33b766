import { once } from "node:events";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connectFailure } from "../src/cli/output/connect-failure.ts";
import { withKeyOfFile } from "../src/cli/settings/key-file.ts";
import { type Environment, readConfig } from "../src/config.ts";
import { ReadyFile } from "../src/process/ready-file.ts";
import { choosePort, portError } from "../src/setup/free-port.ts";
import { makeHome } from "../src/storage/embedded/data-folders.ts";
import { findOsUser } from "../src/storage/embedded/os-user.ts";

/* What is wrong is one line: it names the setting, and says what to do. */

let folder: string;
let file: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowcall-wrong-"));
  file = join(folder, "file");
  await writeFile(file, "two words\n");
});

afterAll(async () => rm(folder, { recursive: true, force: true }));

async function lineOf(work: () => unknown): Promise<string> {
  const error: unknown = await Promise.resolve()
    .then(work)
    .catch((thrown: unknown) => thrown);
  if (!(error instanceof Error)) {
    throw new Error("nothing was refused");
  }
  expect(error.cause).toBeUndefined();
  expect(error.message).not.toContain("\n");
  return error.message;
}

describe("a port that cannot be listened on", () => {
  test("is taken: the port is named, and another one may be chosen", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const address = other.address();
    const port = typeof address === "object" ? (address?.port ?? 0) : 0;
    expect(await lineOf(() => choosePort({ host: "127.0.0.1", port }))).toMatch(/is taken .* another FLOWCALL_PORT/);
    other.close();
  });

  test.each(["999.1.1.1", "203.0.113.7"])("is of another machine, %s: the host is named", async (host) => {
    expect(await lineOf(() => choosePort({ host, port: 0 }))).toContain(`${host} is no address of this machine`);
  });

  test("is for root alone: a higher one may be chosen, for metrics by their own setting", async () => {
    const names = { host: "FLOWCALL_METRICS_HOST", port: "FLOWCALL_METRICS_PORT" };
    const denied = Object.assign(new Error("listen EACCES"), { code: "EACCES" });
    const choice = { host: "127.0.0.1", port: 80 };
    expect(await lineOf(() => Promise.reject(portError(choice, denied, names)))).toContain(
      "a FLOWCALL_METRICS_PORT from",
    );
  });
});

describe("a folder or a file that cannot be used", () => {
  test("a data folder that is a file", async () => {
    const osUser = await findOsUser();
    expect(await lineOf(() => makeHome(file, osUser))).toMatch(/in the place of a file.*FLOWCALL_DATA_DIR/);
    expect(await lineOf(() => makeHome(join(file, "data"), osUser))).toMatch(
      /in the place of a file.*FLOWCALL_DATA_DIR/,
    );
  });

  test.skipIf(process.getuid?.() === 0)("a data folder that others own", async () => {
    const closed = join(folder, "closed");
    await mkdir(closed);
    await chmod(closed, 0o555);
    const osUser = await findOsUser();
    expect(await lineOf(() => makeHome(join(closed, "data"), osUser))).toMatch(/may not write to .*FLOWCALL_DATA_DIR/);
  });

  test("a ready file in no folder", async () => {
    const ready = new ReadyFile({ configured: join(folder, "none/ready.json"), own: undefined });
    expect(await lineOf(() => ready.check())).toMatch(/^FLOWCALL_READY_FILE .* no folder .*create it/);
  });

  test.each([
    ["FLOWCALL_TEST_KEY_FILE", () => file, /^FLOWCALL_TEST_KEY_FILE: must be tk/],
    ["FLOWCALL_TEST_KEY_FILE", () => join(folder, "none"), /^FLOWCALL_TEST_KEY_FILE: .*name a file/],
    [
      "FLOWCALL_DATABASE_URL",
      () => `postgres://h/d?sslrootcert=${folder}/none`,
      /^FLOWCALL_DATABASE_URL: its sslrootcert/,
    ],
  ] as const)("%s is named with what is wrong in it: %#", async (name, value, line) => {
    const environment: Environment = { [name]: value() };
    expect(await lineOf(() => readConfig(environment))).toMatch(line);
  });
});

describe("the command line", () => {
  const key = "FLOWCALL_API_KEY";

  test("takes its key from a file, and a server that was started beside it is not confused by that", async () => {
    const good = join(folder, "good.key");
    await writeFile(good, "tk-a-key-of-somebody\n");
    const environment = { FLOWCALL_API_KEY_FILE: good };
    expect(await withKeyOfFile(environment)).toMatchObject({ [key]: "tk-a-key-of-somebody" });
    expect(() => readConfig(environment)).not.toThrow();
  });

  test("names the variable of a key file that is missing, no key, or one too many", async () => {
    const none = join(folder, "none");
    expect(await lineOf(() => withKeyOfFile({ [`${key}_FILE`]: none }))).toMatch(
      /^FLOWCALL_API_KEY_FILE: There is no /,
    );
    expect(await lineOf(() => withKeyOfFile({ [`${key}_FILE`]: file }))).toMatch(/^FLOWCALL_API_KEY_FILE: .* one line/);
    expect(await lineOf(() => withKeyOfFile({ [`${key}_FILE`]: file, [key]: "x" }))).toContain("Unset one of them");
  });

  test("says of a certificate that it is not trusted, and how it would be", () => {
    const cause = Object.assign(new Error("self-signed certificate"), { code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
    const { message } = connectFailure(new ConnectError("", undefined, undefined, undefined, cause), "https://a");
    expect(message).toMatch(/^The certificate of https:\/\/a is not trusted .*NODE_EXTRA_CA_CERTS/);
  });
});
