import type { Command } from "../command/command.ts";
import { listNamed } from "../command/named-call.ts";
import { member } from "../execution/execution-text.ts";
import { exitCodes } from "../output/exit-codes.ts";

export const integrationLs: Command = {
  name: "integration ls",
  summary: "Lists the integrations of the environment.",
  positionals: [],
  options: {},
  example: "flowcall integration ls",

  async run(_, context) {
    const asked = { name: "flowcall.v1.IntegrationService.ListIntegrations", request: {} };
    const integrations = await listNamed(await context.connect(), asked, "integrations");
    context.output.table(integrations, [
      ["SLUG", (integration) => member(integration, "slug")],
      ["NAME", (integration) => member(integration, "name")],
      [
        "FIELDS",
        (integration) =>
          [integration["fields"] ?? []]
            .flat()
            .map((field) => Object(field).name)
            .join(", "),
      ],
      ["CREATED", (integration) => member(integration, "create_time")],
    ]);
    return exitCodes.done;
  },
};
