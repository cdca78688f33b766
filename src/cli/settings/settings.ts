import { meant } from "../../domain/nearest.ts";
import type { Arguments } from "../command-line/arguments.ts";
import { CliError, usageError } from "../output/cli-error.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { findLocalServer, type LocalServer, urlDefault } from "./local-server.ts";
import type { ProfileStore } from "./profile-store.ts";

/** Where calls go, as whom, and what they mean where nothing else is said. */
export type Settings = {
  readonly url: string;
  readonly key?: string;
  readonly profile?: string;
  /** Where the key was found; a key is never shown itself. */
  readonly keySource?: "FLOWCALL_API_KEY" | "profile" | "file";
  /** The file that it was found in, of a server of this machine. */
  readonly keysFile?: string;
  readonly account?: string;
  readonly slug?: string;
};

export type SettingsOptions = {
  readonly given: Arguments;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly store: ProfileStore;
  /** Whether a profile may be named that is not there, as by those who are about to make it. */
  readonly isLenient?: boolean;
};

/**
 * Options first, then the environment, then the profile, then the server that was started in this folder. A key that was
 * found with a server goes to that server alone: with another URL it is left out.
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
    throw usageError(`There is no profile ${name}.${meant(name, Object.keys(profiles))} See: flowcall profile ls`);
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

type KeyPlaces = {
  readonly ownKey: string | undefined;
  readonly storedKey: string | undefined;
  readonly local: LocalServer | undefined;
};

function foundKey({ ownKey, storedKey, local }: KeyPlaces): Pick<Settings, "key" | "keySource" | "keysFile"> {
  if (ownKey) return { key: ownKey, keySource: "FLOWCALL_API_KEY" };
  if (storedKey !== undefined) return { key: storedKey, keySource: "profile" };
  return local === undefined ? {} : { key: local.key, keySource: "file", keysFile: local.keysFile };
}

/** A server's URL without a slash at its end. Throws a usage error for what is none. */
export function originOf(text: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== "" || url.search !== "" || url.hash !== "") {
    throw usageError(`${JSON.stringify(text)} is no server's URL; one is http://127.0.0.1:4180.`);
  }
  return url.href.replace(/\/+$/, "");
}

/** The key, or what to do for one. */
export function keyOf({ key, url }: Settings): string {
  if (key !== undefined) return key;
  throw new CliError(
    `There is no key for ${url}: set FLOWCALL_API_KEY, or store one with flowcall profile add. In the folder of ` +
      "flowcall dev, or of npm start, none is needed.",
    { exitCode: exitCodes.unauthorized },
  );
}

/** The account of a call, which is never guessed. */
export function accountOf({ account }: Settings): string {
  if (account !== undefined) return account;
  throw usageError(
    "Name the linked account: --account, FLOWCALL_ACCOUNT, or a profile's. flowcall account ls lists those that there are.",
  );
}
