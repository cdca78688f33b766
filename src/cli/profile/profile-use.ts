import type { Command } from "../command/command.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { unknownProfile } from "./save-profile.ts";

export const profileUse: Command = {
  name: "profile use",
  summary: "Makes a profile the current one.",
  positionals: ["NAME"],
  options: {},
  example: "flowcall profile use local",

  async run(given, { store, output }) {
    const name = given.word(0);
    const { profiles } = await store.read();
    if (profiles[name] === undefined) {
      throw unknownProfile(name, profiles);
    }
    await store.write({ current: name, profiles });
    output.value({ name, ...profiles[name], current: true }, name);
    return exitCodes.done;
  },
};
