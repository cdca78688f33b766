import { externals } from "./bundle.ts";

/** The fields of a package.json that the published one is made of. */
export type Manifest = {
  readonly version: string;
  readonly description: string;
  readonly license: string;
  readonly engines: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
};

/** Node itself, which npm brings to a clone. Whoever installs the package has one. */
const nodePackage = /^node-/;

/**
 * The package.json of the published package. It is not the repository's: that one is private, so that the sources cannot be
 * published by mistake, and brings a Node of 120 MB. This one has no scripts, so that an install runs nothing, and no
 * dependencies but what cannot be bundled.
 */
export function publishedManifest(own: Manifest) {
  const { version, description, license, engines, dependencies, optionalDependencies } = own;
  return {
    name: "flowcall",
    version,
    description,
    keywords: ["workflow", "automation", "durable execution", "grpc", "postgres"],
    license,
    type: "module",
    engines,
    bin: {
      flowcall: "bin/flowcall.cjs",
      "flowcall-server": "bin/flowcall-server.cjs",
      "flowcall-admin": "bin/flowcall-admin.cjs",
    },
    exports: {
      "./client": { types: "./dist/client/client.d.ts", default: "./dist/client/client.js" },
      "./package.json": "./package.json",
    },
    dependencies: only(dependencies, (name) => externals.includes(name)),
    optionalDependencies: only(optionalDependencies, (name) => !nodePackage.test(name)),
  };
}

function only(versions: Readonly<Record<string, string>>, isNeeded: (name: string) => boolean) {
  return Object.fromEntries(Object.entries(versions).filter(([name]) => isNeeded(name)));
}
