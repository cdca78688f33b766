import { didYouMean } from "../../domain/nearest.ts";
import { type CliError, usageError } from "../output/cli-error.ts";
import type { Profile, ProfileStore } from "../settings/profile-store.ts";

/** Stores a profile. The key is written first, so that there is never a profile without its key. */
export async function saveProfile(store: ProfileStore, name: string, profile: Profile, key: string): Promise<void> {
  await store.writeKey(name, key);
  const { current = name, profiles } = await store.read();
  await store.write({ current, profiles: { ...profiles, [name]: profile } });
}

/** A usage error that suggests the most similar profile. */
export function unknownProfile(name: string, profiles: Readonly<Record<string, Profile>>): CliError {
  return usageError(`There is no profile ${name}.${didYouMean(name, Object.keys(profiles))} See: flowcall profile ls`);
}
