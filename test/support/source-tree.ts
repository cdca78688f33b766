import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

export const root = resolve(import.meta.dirname, "../..");

/** The files of the repository that match a pattern of git, new ones included. */
export function listFiles(pattern: string): readonly string[] {
  const out = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", pattern], {
    cwd: root,
    encoding: "utf8",
  });
  return out.split("\n").filter((file) => file !== "" && existsSync(join(root, file)));
}

export function read(file: string): string {
  return readFileSync(join(root, file), "utf8");
}

export function lineCount(file: string): number {
  return read(file).split("\n").length - 1;
}

/** The files that a file imports, of types and by `import()` too. */
export function importsOf(file: string): readonly string[] {
  const specifiers = read(file).matchAll(/(?:from\s|import\s|import\()\s*"(\.[^"]+)"/g);
  return [...specifiers].map(([, specifier = ""]) => relative(root, resolve(root, dirname(file), specifier)));
}

/** The circles among files: strongly connected components, by Tarjan's algorithm. */
export function circlesAmong(files: readonly string[]): readonly (readonly string[])[] {
  const known = new Set(files);
  const order = new Map<string, number>();
  const stack: string[] = [];
  const circles: string[][] = [];
  const visit = (file: string): number => {
    const index = order.size;
    order.set(file, index);
    let low = index;
    stack.push(file);
    for (const target of importsOf(file)) {
      if (!known.has(target)) {
        continue;
      }
      const seen = order.get(target);
      if (seen === undefined) {
        low = Math.min(low, visit(target));
      } else if (stack.includes(target)) {
        low = Math.min(low, seen);
      }
    }
    if (low === index) {
      const circle = stack.splice(stack.indexOf(file));
      if (circle.length > 1) {
        circles.push(circle);
      }
    }
    return low;
  };
  for (const file of files) {
    if (!order.has(file)) {
      visit(file);
    }
  }
  return circles;
}

/** The comments of a source file, and the words of its identifiers: `sayFarewell` has `say` and `farewell`. */
export function wordsOf(file: string): { readonly comments: string; readonly names: ReadonlySet<string> } {
  const token = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/g;
  const text = read(file);
  const comments = [...text.matchAll(token)].map(([found]) => found).filter((found) => found.startsWith("/"));
  const identifiers = text.replaceAll(token, " ").match(/[A-Za-z_$][\w$]*/g) ?? [];
  const names = [...new Set(identifiers), file.replace(/\.ts$/, "")].flatMap((name) =>
    name.split(/[^A-Za-z]+|(?<=[a-z])(?=[A-Z])/).map((word) => word.toLowerCase()),
  );
  return { comments: comments.join("\n"), names: new Set(names) };
}
