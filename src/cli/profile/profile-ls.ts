import type { Command } from "../command/command.ts";
import { exitCodes } from "../output/exit-codes.ts";

export const profileLs: Command = {
  name: "profile ls",
  summary: "Lists the profiles; * marks the current one.",
  positionals: [],
  options: {},
  example: "flowcall profile ls",

  async run(_, { store, output }) {
    const { current, profiles } = await store.read();
    const rows = Object.entries(profiles).map(([name, profile]) => ({ name, ...profile, current: name === current }));
    output.table(rows, [
      ["", (row) => (row.current ? "*" : "")],
      ["NAME", (row) => row.name],
      ["URL", (row) => row.url],
      ["ACCOUNT", (row) => row.account],
      ["SLUG", (row) => row.slug],
    ]);
    return exitCodes.done;
  },
};
