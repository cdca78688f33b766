import { quoted } from "../api/curl.ts";
import { probe } from "../api/probe.ts";
import type { Command } from "../frame/command.ts";
import type { Context } from "../frame/context.ts";
import { exitCodes } from "../said/exit-codes.ts";
import { printable } from "../said/output.ts";

export const status: Command = {
  name: "status",
  summary: "Says which server, environment and account commands use.",
  positionals: [],
  options: {},
  formats: ["text", "json", "jsonl", "env"],
  example: 'eval "$(flowcall status -o env)"',

  async run(given, context) {
    const { settings, output } = context;
    if (given.text("output") === "env") {
      output.value(null, envText(context));
      return exitCodes.done;
    }
    const { url, profile, key, keySource, account, slug } = settings;
    const { state } = await probe(url, "/readyz");
    const facts = {
      url,
      server: state,
      ...(profile !== undefined && { profile }),
      key: keySource === undefined ? "none" : `from ${keySource === "profile" ? `profile ${profile}` : keySource}`,
      ...(key !== undefined && { environment: environmentOf(key) }),
      ...(account !== undefined && { account }),
      ...(slug !== undefined && { slug }),
    };
    const lines = Object.entries(facts).map(([name, text]) => `${name.padEnd(11)} ${printable(text)}`);
    output.value(facts, lines.join("\n"));
    return exitCodes.done;
  },
};

/** A key's environment is the server's to say; by its beginning it can be told without asking. */
export function environmentOf(key: string): string {
  return key.startsWith("pk") ? "production" : key.startsWith("tk") ? "test" : "unknown";
}

/** Assignments for a shell. A stored key is read by the shell from its file, and so is never shown. */
function envText({ settings: { url, profile, keySource, account, slug }, store }: Context): string {
  const lines = [
    `export FLOWCALL_URL=${quoted(url)}`,
    ...(keySource === "profile" && profile !== undefined
      ? [`export FLOWCALL_API_KEY="$(cat ${quoted(store.keyFile(profile))})"`]
      : []),
    ...(account === undefined ? [] : [`export FLOWCALL_ACCOUNT=${quoted(account)}`]),
    ...(slug === undefined ? [] : [`export FLOWCALL_SLUG=${quoted(slug)}`]),
  ];
  return lines.join("\n");
}
