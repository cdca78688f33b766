import type { ApiDeclaration } from "./api-declaration.ts";

/** Where an execution's nodes get the credentials of its linked account. They are read each time that they are used. */
export type ConnectionSource = {
  /** @param slug the integration; that of the workflow if undefined */
  open(slug: string | undefined): Promise<FoundConnection>;
};

export type FoundConnection = {
  readonly slug: string;
  readonly accountId: string;
  /** Undefined where there is no such integration. */
  readonly api: ApiDeclaration | undefined;
  /** Undefined where the account has no connection to it, and "unreadable" where no encryption key opens it. */
  readonly credentials: Credentials | "unreadable" | undefined;
};

/** Credentials by name. */
export type Credentials = Readonly<Record<string, string>>;
