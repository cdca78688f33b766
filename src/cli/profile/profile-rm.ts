import type { Command } from "../command/command.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { unknownProfile } from "./save-profile.ts";

export const profileRm: Command = {
  name: "profile rm",
  summary: "Removes a profile and its key.",
  positionals: ["NAME"],
  options: {},
  example: "flowcall profile rm local",

  async run(given, { store, output }) {
    const name = given.word(0);
    const { current, profiles } = await store.read();
    const { [name]: removed, ...rest } = profiles;
    if (removed === undefined) {
      throw unknownProfile(name, profiles);
    }
    await store.write({ ...(current !== undefined && current !== name && { current }), profiles: rest });
    await store.removeKey(name);
    output.value({ name, ...removed }, "");
    return exitCodes.done;
  },
};
