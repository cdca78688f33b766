import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { DescFile, DescMethod } from "@bufbuild/protobuf";
import { didYouMean } from "../../domain/nearest.ts";
import { CliError, usageError } from "../output/cli-error.ts";

const folder = resolve(import.meta.dirname, "../../gen");

/** Every RPC of the generated code, read from its folder, so that a new RPC needs no change here. */
export class Methods {
  readonly all: readonly DescMethod[];

  constructor(all: readonly DescMethod[]) {
    this.all = all;
  }

  static async load(): Promise<Methods> {
    const names = (await readdir(folder, { recursive: true })).filter((name) => /_pb\.[jt]s$/.test(name)).sort();
    const modules = await Promise.all(names.map((name) => import(pathToFileURL(join(folder, name)).href)));
    const files = modules.flatMap((module: object) => Object.values(module)).filter(isDescFile);
    return new Methods(files.flatMap(({ services }) => services.flatMap((service) => service.methods)));
  }

  /** Finds a method by `Method`, `Service.Method` or its full name, in any case. Throws a usage error. */
  find(name: string): DescMethod {
    const wanted = name.replace("/", ".").toLowerCase();
    const found = this.all.filter((method) => {
      const full = fullName(method).toLowerCase();
      return full === wanted || full.endsWith(`.${wanted}`);
    });
    const [first] = found;
    if (first === undefined) {
      const known = this.all.map((method) => (name.includes(".") ? fullName(method) : method.name));
      throw usageError(
        `There is no method ${JSON.stringify(name)}.${didYouMean(name, [...new Set(known)])} See: flowcall api`,
      );
    }
    const exact = found.find((method) => fullName(method).toLowerCase() === wanted);
    if (found.length === 1 || exact !== undefined) {
      return exact ?? first;
    }
    throw usageError(`${name} may be any of ${found.map(fullName).join(", ")}.`);
  }

  /** Finds a method by its full name. Throws CliError where the generated code lacks it. */
  need(name: string): DescMethod {
    const method = this.all.find((candidate) => fullName(candidate) === name);
    if (method === undefined) {
      throw new CliError(`This version of flowcall lacks ${name}, which the command needs.`);
    }
    return method;
  }
}

/** For example `flowcall.v1.ExecutionService.ExecuteWorkflow`. */
export function fullName(method: DescMethod): string {
  return `${method.parent.typeName}.${method.name}`;
}

function isDescFile(value: unknown): value is DescFile {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "file";
}
