import { didYouMean } from "../../domain/nearest.ts";
import type { Arguments } from "../command-line/arguments.ts";
import { CliError, usageError } from "../output/cli-error.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { findLocalServer, type LocalServer, urlDefault } from "./local-server.ts";
import type { ProfileStore } from "./profile-store.ts";

/** The server that commands call, the key, and the defaults of account and integration. */
export type Settings = {
  readonly url: string;
  readonly key?: string;
  readonly profile?: string;
  /** Where the key was found. The key itself is never shown. */
  readonly keySource?: "FLOWCALL_API_KEY" | "profile" | "file";
  /** The local server's file with the key. */
  readonly keysFile?: string;
  readonly account?: string;
  readonly slug?: string;
};

export type SettingsOptions = {
  readonly given: Arguments;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly store: ProfileStore;
  /** Allows a profile that does not exist, for commands that create or remove profiles. */
  readonly isLenient?: boolean;
};

/**
 * Reads settings from, in this order: options, environment variables, the profile, the server that was started in this
 * folder. A stored key belongs to its server: it is not sent to another URL.
 */
export async function readSettings({
  given,
  environment,
  store,
  isLenient = false,
}: SettingsOptions): Promise<Settings> {
  const { current, profiles } = await store.read();
  const name = given.text("profile") ?? (environment["FLOWCALL_PROFILE"] || current);
  const profile = name === undefined ? undefined : profiles[name];
  if (name !== undefined && profile === undefined && !isLenient) {
    throw usageError(`There is no profile ${name}.${didYouMean(name, Object.keys(profiles))} See: flowcall profile ls`);
  }
  const ownKey = environment["FLOWCALL_API_KEY"];
  const local = ownKey && profile ? undefined : await findLocalServer(environment);
  const found = profile?.url ?? local?.url ?? urlDefault;
  const url = originOf(given.text("url") ?? (environment["FLOWCALL_URL"] || found));
  const storedKey =
    name === undefined || profile === undefined || originOf(profile.url) !== url
      ? undefined
      : await store.readKey(name);
  const account = given.text("account") ?? (environment["FLOWCALL_ACCOUNT"] || profile?.account);
  const slug = given.text("slug") ?? (environment["FLOWCALL_SLUG"] || profile?.slug);
  return {
    url,
    ...foundKey({ ownKey, storedKey, local: local?.url === url ? local : undefined }),
    ...(name !== undefined && { profile: name }),
    ...(account !== undefined && { account }),
    ...(slug !== undefined && { slug }),
  };
}

type KeySources = {
  readonly ownKey: string | undefined;
  readonly storedKey: string | undefined;
  readonly local: LocalServer | undefined;
};

function foundKey({ ownKey, storedKey, local }: KeySources): Pick<Settings, "key" | "keySource" | "keysFile"> {
  if (ownKey) {
    return { key: ownKey, keySource: "FLOWCALL_API_KEY" };
  }
  if (storedKey !== undefined) {
    return { key: storedKey, keySource: "profile" };
  }
  return local === undefined ? {} : { key: local.key, keySource: "file", keysFile: local.keysFile };
}

/** A server's URL without a slash at its end. Throws a usage error for anything else. */
export function originOf(text: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== "" || url.search !== "" || url.hash !== "") {
    throw usageError(`${JSON.stringify(text)} is not the URL of a server. Give one like http://127.0.0.1:4180.`);
  }
  return url.href.replace(/\/+$/, "");
}

/** The key. Throws CliError, with how to set one, where there is none. */
export function keyOf({ key, url }: Settings): string {
  if (key !== undefined) {
    return key;
  }
  throw new CliError(
    `There is no key for ${url}. Set FLOWCALL_API_KEY, or store one with flowcall profile add. In the folder of ` +
      "flowcall dev or npm start no key is needed.",
    { exitCode: exitCodes.unauthorized },
  );
}

/** The account of a call. Throws a usage error where none is set: an account is never guessed. */
export function accountOf({ account }: Settings): string {
  if (account !== undefined) {
    return account;
  }
  throw usageError("Name the linked account by --account, FLOWCALL_ACCOUNT or a profile. See: flowcall account ls");
}
