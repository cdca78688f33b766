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

/** The stores that admin commands use. */
export type AdminStores = Pick<Stores, "tenants" | "apiKeys">;

export type AdminCommand = CommandText & {
  /** Checks the arguments, before the database is opened, and answers the work to do. Throws a usage error. */
  prepare(given: Arguments, output: Output): (stores: AdminStores) => Promise<void>;
};

/** The actor that the audit log records. */
export const operator = "operator";
