import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { getOption, hasOption } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { scope } from "../src/gen/flowcall/v1/options_pb.ts";
import { http } from "../src/gen/google/api/annotations_pb.ts";
import { protoFiles, protoMethods } from "./support/protos.ts";

const root = resolve(import.meta.dirname, "..");

/** The folders that put the parts together. They may import each other, and the files of src itself. */
const topFolders: readonly string[] = ["", "api-docs", "process", "settings", "setup"];

/** The layers from the ground up. A file imports from its own folder or from a lower layer. */
const layers: readonly (readonly string[])[] = [
  ["gen"],
  ["domain"],
  ["engine", "storage"],
  ["scheduler"],
  ["rpc", "gateway"],
  ["server"],
  // The files of src itself, and what they are made of.
  topFolders,
  ["cli"],
  // The operator's command opens the database as the server does, and reads its words as the command line does.
  ["admin"],
];

function trackedFiles(pattern: string): readonly string[] {
  const out = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", pattern], {
    cwd: root,
    encoding: "utf8",
  });
  return out.split("\n").filter((file) => file !== "" && existsSync(join(root, file)));
}

const sources = trackedFiles("src/*.ts").filter((file) => !file.startsWith("src/gen/"));

function read(file: string): string {
  return readFileSync(join(root, file), "utf8");
}

function folderOf(file: string): string {
  const [, folder = "", rest] = file.split("/");
  return rest === undefined ? "" : folder;
}

function layerOf(file: string): number {
  return layers.findIndex((folders) => folders.includes(folderOf(file)));
}

function areNeighbours(file: string, other: string): boolean {
  const folders = [folderOf(file), folderOf(other)];
  return folders[0] === folders[1] || folders.every((folder) => topFolders.includes(folder));
}

function importsOf(file: string): readonly string[] {
  const specifiers = read(file).matchAll(/(?:from|import\()\s*"(\.[^"]+)"/g);
  return [...specifiers].map(([, specifier = ""]) => relative(root, resolve(root, dirname(file), specifier)));
}

describe("the sources stay tidy", () => {
  test("every folder of src is a layer", () => {
    expect(sources.filter((file) => layerOf(file) === -1)).toEqual([]);
    expect(sources.length).toBeGreaterThan(30);
  });

  test("no import goes up or across the layers", () => {
    const breaches = sources.flatMap((file) =>
      importsOf(file)
        .filter((target) => layerOf(target) >= layerOf(file) && !areNeighbours(file, target))
        .map((target) => `${file} imports ${target}`),
    );
    expect(breaches).toEqual([]);
  });

  test("the command line stands outside: it speaks the public API, and nobody knows it", () => {
    const targets = sources
      .filter((file) => folderOf(file) === "cli")
      .flatMap((file) => [...new Set(importsOf(file))].map((target) => ({ file, target, folder: folderOf(target) })));
    expect(targets.length).toBeGreaterThan(20);
    // What somebody meant is guessed as the server guesses it.
    const others = targets.filter(
      ({ folder, target }) => folder !== "cli" && folder !== "gen" && target !== "src/domain/nearest.ts",
    );
    const pairs = new Set(others.map(({ file, folder }) => `${file} > ${folder}`));
    expect([...pairs].sort()).toEqual([
      // The server's settings, and the place of its test key.
      "src/cli/dev/dev-server.ts > ",
      "src/cli/dev/dev-server.ts > setup",
      // The version of the program.
      "src/cli/dev/dev.ts > process",
      // JSON is scanned by the server's own scanner before it is sent.
      "src/cli/input/json-input.ts > domain",
      // Signals are handled as in the server.
      "src/cli/main.ts > process",
      "src/cli/run-cli.ts > process",
      // The data folder of a local server.
      "src/cli/settings/local-server.ts > setup",
    ]);
  });

  test("no source file is longer than 300 lines", () => {
    const long = sources.map((file) => ({ file, lines: read(file).split("\n").length - 1 }));
    expect(long.filter(({ lines }) => lines > 300)).toEqual([]);
  });

  test("the environment is read in config.ts alone, and where a process begins", () => {
    const readers = ["src/config.ts", "src/main.ts", "src/cli/main.ts"];
    expect(sources.filter((file) => !readers.includes(file) && read(file).includes("process.env"))).toEqual([]);
  });

  test("nothing is exported as default", () => {
    expect(sources.filter((file) => /^export default/m.test(read(file)))).toEqual([]);
  });

  test("links in the documents lead somewhere", () => {
    const documents = [...trackedFiles("*.md")].filter((file) => !file.includes("third_party"));
    const dead = documents.flatMap((file) =>
      [...read(file).matchAll(/\]\((?!https?:|#)([^)#\s]+)[^)]*\)/g)]
        .map(([, target = ""]) => relative(root, resolve(root, dirname(file), target)))
        .filter((target) => !existsSync(join(root, target)))
        .map((target) => `${file} → ${target}`),
    );
    expect(documents).toContain("README.md");
    expect(dead).toEqual([]);
  });

  test("the lock file and the settings name no registry host", () => {
    const named = ["package-lock.json", "package.json", ".npmrc"].filter((file) =>
      /registry\.|"resolved"/.test(read(file)),
    );
    expect(named).toEqual([]);
  });
});

describe("the protos keep their promises", async () => {
  const files = await protoFiles();
  const methods = await protoMethods();

  test("every field's JSON name is its proto name", () => {
    const fields = files.flatMap((file) => file.messages.flatMap((message) => message.fields));
    expect(fields.length).toBeGreaterThan(50);
    expect(fields.filter((field) => field.jsonName !== field.name).map(String)).toEqual([]);
  });

  test("every method names the scope that it needs and a REST path", () => {
    expect(methods.filter((method) => !hasOption(method, scope) || getOption(method, scope) === 0)).toEqual([]);
    expect(methods.filter((method) => !hasOption(method, http))).toEqual([]);
  });

  test("the generated code is what the protos generate", { timeout: 120_000 }, () => {
    const fresh = mkdtempSync(join(tmpdir(), "flowcall-generated-"));
    try {
      execFileSync("buf", ["generate", "-o", fresh], { cwd: root });
      execFileSync("diff", ["-r", join(fresh, "src/gen"), join(root, "src/gen")]);
    } finally {
      rmSync(fresh, { recursive: true, force: true });
    }
  });
});
