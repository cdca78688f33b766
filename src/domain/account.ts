/** A linked account with its environment and organisation. Limits count by these, and fair queues take turns among them. */
export type Account = {
  readonly organizationId: string;
  readonly environmentId: string;
  readonly linkedAccountId: string;
};

/** The path of an account in a `FairQueue`: organisation, environment, account. */
export function turnOf({ organizationId, environmentId, linkedAccountId }: Account): readonly string[] {
  return [organizationId, environmentId, linkedAccountId];
}

/** An environment and its organisation. */
export type Tenant = Omit<Account, "linkedAccountId">;

/** The path of a tenant in a `FairQueue`, for work without an account. */
export function turnOfTenant({ organizationId, environmentId }: Tenant): readonly string[] {
  return [organizationId, environmentId];
}
