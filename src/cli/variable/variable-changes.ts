import type { Command } from "../command/command.ts";
import { listNamed } from "../command/named-call.ts";
import { namedCommand } from "../command/named-command.ts";
import { member } from "../execution/execution-text.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { hostsText, valueText, variableService } from "./variable-text.ts";

export const variableLs: Command = {
  name: "variable ls",
  summary: "Lists the variables of the environment, the secret ones without their values.",
  positionals: [],
  options: {},
  example: "flowcall variable ls",

  async run(_, context) {
    const name = `${variableService}.ListVariables`;
    const variables = await listNamed(await context.connect(), { name, request: {} }, "variables");
    context.output.table(variables, [
      ["NAME", (variable) => member(variable, "name")],
      ["VALUE", valueText],
      ["HOSTS", hostsText],
    ]);
    return exitCodes.done;
  },
};

export const variableRm = namedCommand({
  name: "variable rm",
  summary: "Deletes a variable. Nodes that read it fail from then on.",
  method: `${variableService}.DeleteVariable`,
  words: { name: "NAME" },
  example: "flowcall variable rm BILLING_KEY",
  text: () => "",
});
