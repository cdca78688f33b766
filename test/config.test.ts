import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ConfigError, type Environment, readConfig } from "../src/config.ts";
import { defaultLimits } from "../src/domain/limits.ts";
import { parseEgressAllow } from "../src/engine/http/egress-allow-list.ts";
import { defaultServerLimits } from "../src/server/limits/server-limits.ts";

const surroundings = { workingDir: "/srv/flowcall", isRoot: false, isTerminal: false };

function check(environment: Environment, problems: readonly string[]): void {
  try {
    readConfig(environment, surroundings);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    expect(error instanceof ConfigError ? error.problems.map((problem) => problem.split(":")[0]) : []).toEqual(
      problems,
    );
    return;
  }
  expect([]).toEqual(problems);
}

describe("the configuration", () => {
  test("nothing set is everything by default", () => {
    expect(readConfig({ HOME: "/root", PATH: "/bin" }, surroundings)).toEqual({
      host: "127.0.0.1",
      port: 4180,
      workers: 1,
      workerTimeoutMs: 5_000,
      dataDir: "/srv/flowcall/.flowcall",
      examples: true,
      corsOrigins: [],
      encryptionKeys: [],
      acceptsMissingKeys: false,
      egressAllow: parseEgressAllow(""),
      logLevel: "info",
      loggedEnds: "failed",
      logFormat: "json",
      given: {},
      limits: defaultLimits,
      serverLimits: defaultServerLimits,
    });
  });

  test("root keeps its data where another user can reach it, apart for each working folder", () => {
    const one = readConfig({}, { ...surroundings, workingDir: "/root/a", isRoot: true }).dataDir;
    const two = readConfig({}, { ...surroundings, workingDir: "/root/b", isRoot: true }).dataDir;
    expect(one).toMatch(/^\/var\/lib\/flowcall\/[0-9a-f]{12}$/);
    expect(two).not.toBe(one);
  });

  test("a secret may stand in a file, and each file that cannot be used is a line that says what to do", async () => {
    const folder = await mkdtemp(join(tmpdir(), "flowcall-secrets-"));
    const file = async (name: string, text: string) => {
      await writeFile(join(folder, name), text);
      return join(folder, name);
    };
    const url = "postgres://user:secret@db.internal:5432/flowcall";
    const given = { FLOWCALL_DATABASE_URL_FILE: await file("url", `${url}\n`) };
    const { databaseUrl, given: shown } = readConfig(given, surroundings);
    expect(databaseUrl).toBe(url);
    expect(JSON.stringify(shown)).not.toContain("secret@");
    const problemsWith = (environment: Environment) => {
      try {
        return readConfig(environment, surroundings) && [];
      } catch (error) {
        return error instanceof ConfigError ? error.problems : [String(error)];
      }
    };
    const empty = await file("empty", "\n");
    const wrong: readonly (readonly [Environment, RegExp])[] = [
      [{ FLOWCALL_TEST_KEY_FILE: join(folder, "none") }, /^FLOWCALL_TEST_KEY_FILE: .*none cannot be read \(ENOENT/],
      [{ FLOWCALL_TEST_KEY_FILE: folder }, /cannot be read \(it is no ordinary file\)/],
      [{ FLOWCALL_ENCRYPTION_KEYS_FILE: empty }, /^FLOWCALL_ENCRYPTION_KEYS_FILE: .*must hold the secret/],
      [{ ...given, FLOWCALL_DATABASE_URL: url }, /FLOWCALL_DATABASE_URL is set too; unset one of them$/],
      [{ FLOWCALL_TEST_KEY_FILE: await file("short", "tk1") }, /^FLOWCALL_TEST_KEY_FILE: must be tk/],
      [{ FLOWCALL_PORT_FILE: empty }, /^FLOWCALL_PORT_FILE: there is no such variable/],
    ];
    for (const [environment, line] of wrong) {
      expect(problemsWith(environment)).toEqual([expect.stringMatching(line)]);
    }
    await rm(folder, { recursive: true });
  });

  test("examples are for the embedded database unless they are asked for", () => {
    const FLOWCALL_DATABASE_URL = "postgres://user:secret@db.internal:5432/flowcall";
    expect(readConfig({ FLOWCALL_DATABASE_URL }, surroundings).examples).toBe(false);
    expect(readConfig({ FLOWCALL_DATABASE_URL, FLOWCALL_EXAMPLES: "true" }, surroundings).examples).toBe(true);
  });

  test("the log is words at a terminal and JSON elsewhere, unless it is said", () => {
    const terminal = { ...surroundings, isTerminal: true };
    expect(readConfig({}, terminal).logFormat).toBe("text");
    expect(readConfig({ FLOWCALL_LOG_FORMAT: "json" }, terminal).logFormat).toBe("json");
    expect(readConfig({ FLOWCALL_LOG_FORMAT: "text" }, surroundings).logFormat).toBe("text");
  });

  test("the log may show what is set, and no secret", () => {
    const FLOWCALL_TEST_KEY = "tk-of-sixteen-or-more";
    expect(readConfig({ FLOWCALL_PORT: "4181", FLOWCALL_TEST_KEY }, surroundings).given).toEqual({
      FLOWCALL_PORT: "4181",
      FLOWCALL_TEST_KEY: "(set)",
    });
  });

  test("a variable that is misspelt names the one that is meant", () => {
    expect(() => readConfig({ FLOWCALL_LOGLEVEL: "info" }, surroundings)).toThrow("did you mean FLOWCALL_LOG_LEVEL?");
    expect(() => readConfig({ FLOWCALL_SLOT: "1" }, surroundings)).toThrow("did you mean FLOWCALL_SLOTS?");
    expect(() => readConfig({ FLOWCALL_TURNIPS: "1" }, surroundings)).toThrow("see docs/settings.md");
  });

  test("limits are set one by one", () => {
    const { limits } = readConfig(
      { FLOWCALL_SLOTS: "3", FLOWCALL_PAYLOAD_DEPTH: "7", FLOWCALL_OBJECT_KEYS: "9" },
      surroundings,
    );
    expect(limits).toEqual({
      ...defaultLimits,
      slots: 3,
      payload: { ...defaultLimits.payload, depthMax: 7, keysMax: 9 },
      output: { ...defaultLimits.output, keysMax: 9 },
    });
  });

  test("a load balancer's address may have all connections there are", () => {
    const { serverLimits } = readConfig(
      { FLOWCALL_CONNECTIONS: "30000", FLOWCALL_CONNECTIONS_PER_ADDRESS: "30000" },
      surroundings,
    );
    expect(serverLimits).toEqual({
      ...defaultServerLimits,
      connectionsMax: 30_000,
      connectionsPerAddressMax: 30_000,
    });
  });

  test.each([
    [{ FLOWCALL_PORT: "65536" }, ["FLOWCALL_PORT"]],
    [{ FLOWCALL_PORT: "0x50" }, ["FLOWCALL_PORT"]],
    [{ FLOWCALL_PORT: "-1" }, ["FLOWCALL_PORT"]],
    [{ FLOWCALL_PORT: "4180 " }, ["FLOWCALL_PORT"]],
    ...["0", "-1", "1000000", "1.5", "4x", "Auto", String(4 * availableParallelism() + 1)].map(
      (text): [Environment, readonly string[]] => [{ FLOWCALL_WORKERS: text }, ["FLOWCALL_WORKERS"]],
    ),
    [{ FLOWCALL_WORKERS: "auto" }, []],
    [{ FLOWCALL_WORKER_TIMEOUT_MS: "999" }, ["FLOWCALL_WORKER_TIMEOUT_MS"]],
    [{ FLOWCALL_DATABASE_URL: "mysql://host/db" }, ["FLOWCALL_DATABASE_URL"]],
    [{ FLOWCALL_DATABASE_URL: "not a url" }, ["FLOWCALL_DATABASE_URL"]],
    [{ FLOWCALL_TEST_KEY: "pk0123456789abcdef" }, ["FLOWCALL_TEST_KEY"]],
    [{ FLOWCALL_TEST_KEY: "tkshort" }, ["FLOWCALL_TEST_KEY"]],
    [{ FLOWCALL_EXAMPLES: "yes" }, ["FLOWCALL_EXAMPLES"]],
    [{ FLOWCALL_LOG_LEVEL: "loud" }, ["FLOWCALL_LOG_LEVEL"]],
    [{ FLOWCALL_SLOTS: "0" }, ["FLOWCALL_SLOTS"]],
    [{ FLOWCALL_ENCRYPTION_KEYS: "c2hvcnQ=" }, ["FLOWCALL_ENCRYPTION_KEYS"]],
    [{ FLOWCALL_RETENTION: "23h" }, ["FLOWCALL_RETENTION"]],
    [{ FLOWCALL_RETENTION: "30" }, ["FLOWCALL_RETENTION"]],
    [{ FLOWCALL_CONNECTIONS_PER_ADDRESS: "0" }, ["FLOWCALL_CONNECTIONS_PER_ADDRESS"]],
    [{ FLOWCALL_PAYLOAD_DEPTH: "25" }, ["FLOWCALL_PAYLOAD_DEPTH"]],
    [{ FLOWCALL_PROT: "4180" }, ["FLOWCALL_PROT"]],
    [
      { FLOWCALL_PORT: "x", FLOWCALL_LOG_LEVEL: "x", FLOWCALL_NOPE: "x" },
      ["FLOWCALL_PORT", "FLOWCALL_LOG_LEVEL", "FLOWCALL_NOPE"],
    ],
    [{ FLOWCALL_PORT: "" }, []],
    [{ FLOWCALL_EGRESS_ALLOW: "internal.example:8080, 10.0.0.0/8,[::1]:80" }, []],
    [
      { FLOWCALL_EGRESS_ALLOW: "http://internal.example, 10.0.0.0/33" },
      ["FLOWCALL_EGRESS_ALLOW", "FLOWCALL_EGRESS_ALLOW"],
    ],
    [{ FLOWCALL_PUBLIC_URL: "https://flows.example.com/" }, []],
    [{ FLOWCALL_PUBLIC_URL: "http://10.0.0.1:8080/below/a/path" }, []],
    ...[
      "flows.example.com",
      "ftp://a",
      "https://a.example?x=1",
      "https://a.example#x",
      "https://me:pw@a.example",
      "/",
    ].map((text): [Environment, readonly string[]] => [{ FLOWCALL_PUBLIC_URL: text }, ["FLOWCALL_PUBLIC_URL"]]),
    [{ FLOWCALL_CORS_ORIGINS: "https://a.example, http://localhost:3000" }, []],
    ...[
      "*",
      "null",
      "https://a.example/",
      "https://A.example",
      "https://a.example:443",
      "a.example",
      "ftp://a",
      ",",
    ].map((text): [Environment, readonly string[]] => [{ FLOWCALL_CORS_ORIGINS: text }, ["FLOWCALL_CORS_ORIGINS"]]),
  ])("%j is refused with every problem named", (environment, problems) => check(environment, problems));

  test("a problem never repeats the value, which may be a secret", () => {
    expect(() => readConfig({ FLOWCALL_DATABASE_URL: "mysql://user:hunter2@host/db" }, surroundings)).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining("hunter2") }),
    );
  });
});
