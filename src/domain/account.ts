/** A linked account of an environment: what the limits count by, and what is served by turns. */
export type Account = { readonly environmentId: string; readonly linkedAccountId: string };
