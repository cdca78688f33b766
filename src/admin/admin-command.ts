import type { Arguments } from "../cli/command-line/arguments.ts";
import type { CommandText, Program } from "../cli/command-line/command-text.ts";
import type { Output } from "../cli/output/output.ts";
import type { Stores } from "../storage/stores.ts";

export const admin: Program = {
  name: "flowcall-admin",
  options: {
    json: { type: "boolean", help: "prints JSON" },
  },
};

/** What a command needs of the database. */
export type AdminStores = Pick<Stores, "tenants" | "apiKeys">;

export type AdminCommand = CommandText & {
  /** Reads its words, and answers what is done once the database is open. Throws a usage error. */
  prepare(given: Arguments, output: Output): (stores: AdminStores) => Promise<void>;
};

/** By whom the audit log says that it was done. */
export const operator = "operator";
