import { CliError, usageError } from "../cli/output/cli-error.ts";
import { didYouMean } from "../domain/nearest.ts";
import type { Organization } from "../storage/tenants/tenant-store.ts";
import { type AdminCommand, type AdminStores, operator } from "./admin-command.ts";

const nameCharsMax = 200;

export const orgCreate: AdminCommand = {
  name: "org create",
  summary: "Creates an organisation with its two environments, and prints its id.",
  positionals: ["NAME"],
  options: {},
  example: "flowcall-admin org create acme",

  prepare(given, output) {
    const name = checkName("The organisation's name", given.word(0));
    return async ({ tenants }) => {
      const id = await tenants.addOrganization(name, operator);
      if (id === undefined) {
        throw new CliError(`An organisation ${JSON.stringify(name)} exists already. Choose another name.`);
      }
      const made = await findOrganization(tenants, id);
      output.value(jsonOf(made), id);
    };
  },
};

export const orgLs: AdminCommand = {
  name: "org ls",
  summary: "Lists the organisations, the oldest first.",
  positionals: [],
  options: {},
  example: "flowcall-admin org ls",

  prepare(_, output) {
    return async ({ tenants }) => {
      const all = await tenants.listOrganizations();
      output.table(all.map(jsonOf), [
        ["ID", ({ id }) => id],
        ["NAME", ({ name }) => name],
        ["CREATED", ({ create_time }) => create_time],
        ["TEST", ({ environments }) => environments.test],
        ["PRODUCTION", ({ environments }) => environments.production],
      ]);
    };
  },
};

/** Finds an organisation by its id or its name. Throws CliError if there is none, or more than one. */
export async function findOrganization(tenants: AdminStores["tenants"], reference: string): Promise<Organization> {
  const all = await tenants.listOrganizations();
  const byId = all.find(({ id }) => id === reference);
  const byName = all.filter(({ name }) => name === reference);
  const [found, ...others] = byId === undefined ? byName : [byId];
  if (found === undefined) {
    const near = didYouMean(
      reference,
      all.map(({ name }) => name),
    );
    throw new CliError(`There is no organisation ${JSON.stringify(reference)}.${near} See: flowcall-admin org ls`);
  }
  if (others.length > 0) {
    const ids = byName.map(({ id }) => id).join(", ");
    throw new CliError(
      `More than one organisation is called ${JSON.stringify(reference)}. Name one by its id: ${ids}.`,
    );
  }
  return found;
}

/** Checks a name by the API's own rule. Throws a usage error. */
export function checkName(what: string, name: string): string {
  if (name.trim() === "" || name.length > nameCharsMax) {
    throw usageError(`${what} must have 1 to ${nameCharsMax} characters.`);
  }
  if (/\p{Cc}/u.test(name)) {
    throw usageError(`${what} must not have control characters.`);
  }
  return name;
}

function jsonOf({ id, name, createTime, environments }: Organization) {
  return { id, name, create_time: createTime.toISOString(), environments: { ...environments } };
}
