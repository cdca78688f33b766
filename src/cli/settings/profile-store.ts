import { mkdir, readFile, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { replaceFile } from "../../domain/atomic-file.ts";
import { CliError, usageError } from "../output/cli-error.ts";

/** A stored server. Its key is in a separate file, which scripts can read and no output shows. */
export type Profile = { readonly url: string; readonly account?: string; readonly slug?: string };

export type Profiles = { readonly current?: string; readonly profiles: Readonly<Record<string, Profile>> };

const none: Profiles = { profiles: {} };

/** Keeps profiles in `flowcall/` under XDG_CONFIG_HOME; only their owner can read them. */
export class ProfileStore {
  readonly #folder: string;

  constructor(environment: Readonly<Record<string, string | undefined>>) {
    this.#folder = join(environment["XDG_CONFIG_HOME"] || join(homedir(), ".config"), "flowcall");
  }

  get #file(): string {
    return join(this.#folder, "profiles.json");
  }

  async read(): Promise<Profiles> {
    const text = await readIfThere(this.#file);
    if (text === undefined) {
      return none;
    }
    try {
      const read: unknown = JSON.parse(text);
      if (isProfiles(read)) {
        return read;
      }
      throw new Error("The file is not an object with profiles.");
    } catch (cause) {
      throw new CliError(`${this.#file} does not hold profiles. Repair it, or remove it and add the profiles again.`, {
        cause,
      });
    }
  }

  async write(profiles: Profiles): Promise<void> {
    await writePrivate(this.#file, `${JSON.stringify(profiles, undefined, 2)}\n`);
  }

  /** The file of a profile's key. Throws a usage error for a name that could not be a file name. */
  keyFile(name: string): string {
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)) {
      throw usageError(`A profile's name has only letters, digits, dots, - and _; ${JSON.stringify(name)} has others.`);
    }
    return join(this.#folder, `${name}.key`);
  }

  async readKey(name: string): Promise<string | undefined> {
    return (await readIfThere(this.keyFile(name)))?.trim();
  }

  async writeKey(name: string, key: string): Promise<void> {
    await writePrivate(this.keyFile(name), `${key}\n`);
  }

  async removeKey(name: string): Promise<void> {
    await rm(this.keyFile(name), { force: true });
  }

  /** The key file, if other users of this machine can read it. */
  async exposedKeyFile(name: string): Promise<string | undefined> {
    const file = this.keyFile(name);
    const { mode } = await stat(file).catch(() => ({ mode: 0 }));
    return (mode & 0o077) === 0 ? undefined : file;
  }
}

/** Writes a file atomically that only its owner can read. */
async function writePrivate(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await replaceFile(file, { text, mode: 0o600 });
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      return undefined;
    }
    throw new CliError(`${file} cannot be read.`, { cause: error });
  }
}

function isProfiles(read: unknown): read is Profiles {
  if (typeof read !== "object" || read === null || !("profiles" in read)) {
    return false;
  }
  const { profiles } = read;
  if (typeof profiles !== "object" || profiles === null) {
    return false;
  }
  return Object.values(profiles).every((profile) => typeof Object(profile).url === "string");
}
