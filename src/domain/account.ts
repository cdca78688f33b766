/** A linked account of an environment: what the limits count by, and what is served by turns. */
export type Account = {
  readonly organizationId: string;
  readonly environmentId: string;
  readonly linkedAccountId: string;
};

/** Where an account waits in a `FairQueue`: the turn goes to an organisation, there to an environment, there to an account. */
export function turnOf({ organizationId, environmentId, linkedAccountId }: Account): readonly string[] {
  return [organizationId, environmentId, linkedAccountId];
}

/** An environment, and whose it is. */
export type Tenant = Omit<Account, "linkedAccountId">;

/** The same for what is of an environment, and of no account of it that is known. */
export function turnOfTenant({ organizationId, environmentId }: Tenant): readonly string[] {
  return [organizationId, environmentId];
}
