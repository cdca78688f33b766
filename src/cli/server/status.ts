import { timestampDate } from "@bufbuild/protobuf/wkt";
import { type Principal, PrincipalService } from "../../gen/flowcall/v1/principal_pb.ts";
import { quoted } from "../client/curl.ts";
import { probe } from "../client/probe.ts";
import type { Command } from "../command/command.ts";
import type { Context } from "../command/context.ts";
import { type ExitCode, exitCodes } from "../output/exit-codes.ts";
import { printable } from "../output/output.ts";
import { readFailure } from "../output/read-failure.ts";
import type { Settings } from "../settings/settings.ts";

const callMs = 10_000;

export const status: Command = {
  name: "status",
  summary: "Shows which server, environment and account commands use; fails if the server is down or refuses the key.",
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
    const { url, profile, key, account, slug } = settings;
    const { state, reason, version } = await probe(url, "/readyz");
    const answer = state === "ready" && key !== undefined ? await askPrincipal(context) : undefined;
    const refusal = answer?.refusal;
    const source = key === undefined ? "none: set FLOWCALL_API_KEY, or flowcall profile add" : keyPlace(settings);
    const facts = {
      url,
      server: `${state}${reason === undefined ? "" : ` (${reason})`}`,
      ...(version !== undefined && { version }),
      ...(profile !== undefined && { profile }),
      key: refusal === undefined ? source : `${source}, and refused: ${refusal.reason}: ${refusal.message}`,
      ...(key !== undefined && { environment: answer?.principal?.environment ?? environmentOf(key) }),
      ...(answer?.principal && principalFacts(answer.principal)),
      ...(account !== undefined && { account }),
      ...(slug !== undefined && { slug }),
    };
    const lines = Object.entries(facts).map(([name, text]) => `${name.padEnd(11)} ${printable(text)}`);
    output.value(facts, lines.join("\n"));
    return exitCodeOf({ isReady: state === "ready", isKeyTaken: key !== undefined && refusal === undefined });
  },
};

function exitCodeOf({ isReady, isKeyTaken }: { readonly isReady: boolean; readonly isKeyTaken: boolean }): ExitCode {
  if (!isReady) {
    return exitCodes.error;
  }
  return isKeyTaken ? exitCodes.done : exitCodes.unauthorized;
}

/** What the server says of the key: whose it is, or why it is refused; neither where the server cannot tell. */
export async function askPrincipal({ connect, settings }: Pick<Context, "connect" | "settings">): Promise<{
  readonly principal?: Principal;
  readonly refusal?: { readonly reason: string; readonly message: string };
}> {
  try {
    return {
      principal: await (await connect()).unary(PrincipalService.method.getPrincipal, {}, { timeoutMs: callMs }),
    };
  } catch (error) {
    const { exitCode, reason = "REFUSED", message } = await readFailure(error, settings.url);
    return exitCode === exitCodes.unauthorized ? { refusal: { reason, message } } : {};
  }
}

function principalFacts({ keyName, scopes, workflows, linkedAccounts, expireTime }: Principal) {
  return {
    "key name": keyName,
    scopes: scopes.join(", "),
    ...(workflows.length > 0 && { workflows: workflows.join(", ") }),
    ...(linkedAccounts.length > 0 && { accounts: linkedAccounts.join(", ") }),
    ...(expireTime && { expires: timestampDate(expireTime).toISOString() }),
  };
}

function keyPlace({ keySource, profile, keysFile }: Settings): string {
  if (keySource === "profile") {
    return `from profile ${profile}`;
  }
  return `from ${keySource === "file" ? keysFile : keySource}`;
}

/** The environment by the key's prefix. */
export function environmentOf(key: string): string {
  return key.startsWith("pk") ? "production" : key.startsWith("tk") ? "test" : "unknown";
}

/** Assignments for a shell. The shell reads a stored key from its file, so the key is never printed. */
function envText({ settings, store }: Context): string {
  const { url, account, slug } = settings;
  const key = keyCommand(settings, (profile) => store.keyFile(profile));
  const lines = [
    `export FLOWCALL_URL=${quoted(url)}`,
    ...(key === undefined ? [] : [`export FLOWCALL_API_KEY="$(${key})"`]),
    ...(account === undefined ? [] : [`export FLOWCALL_ACCOUNT=${quoted(account)}`]),
    ...(slug === undefined ? [] : [`export FLOWCALL_SLUG=${quoted(slug)}`]),
  ];
  return lines.join("\n");
}

function keyCommand(
  { keySource, profile, keysFile }: Settings,
  keyFile: (profile: string) => string,
): string | undefined {
  if (keySource === "profile" && profile !== undefined) {
    return `cat ${quoted(keyFile(profile))}`;
  }
  if (keySource !== "file" || keysFile === undefined) {
    return undefined;
  }
  return `node -p 'JSON.parse(fs.readFileSync(process.argv[1])).test' ${quoted(keysFile)}`;
}
