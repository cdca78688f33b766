import {
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  hasOption,
  type JsonObject,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { IntegrationService } from "../../gen/flowcall/v1/integration_pb.ts";
import { LinkedAccountService } from "../../gen/flowcall/v1/linked_account_pb.ts";
import { Scope, ScopeSchema, scope } from "../../gen/flowcall/v1/options_pb.ts";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import type { Client } from "../client/client.ts";
import { fullName, Methods } from "../client/methods.ts";
import { probe } from "../client/probe.ts";
import { accountOption, type Command, slugOption } from "../command/command.ts";
import type { Context } from "../command/context.ts";
import { type ExitCode, exitCodes } from "../output/exit-codes.ts";
import { printable } from "../output/output.ts";
import { readFailure } from "../output/read-failure.ts";
import { askPrincipal } from "./status.ts";

const skewMaxMs = 30_000;
const callMs = 10_000;

export const doctor: Command = {
  name: "doctor",
  summary: "Checks what calls need and says what to do; prints nothing when all is well.",
  positionals: [],
  options: { ...accountOption, ...slugOption },
  example: "flowcall doctor",

  async run(_, context) {
    const checks = await examine(context);
    const bad = checks.filter(({ ok }) => !ok);
    const { output } = context;
    if (bad.length === 0 && output.format === "text" && output.stderr.isTTY === true) {
      output.note("All is well.");
    }
    if (context.output.format === "text") {
      context.output.value(null, bad.map(({ check, message }) => printable(`${check}: ${message}`)).join("\n"));
    } else {
      context.output.table(
        checks.map(({ check, ok, message }): JsonObject => ({ check, ok, message })),
        [],
      );
    }
    return bad.reduce<ExitCode>(
      (code, { exitCode = exitCodes.error }) => (code === exitCodes.done ? exitCode : code),
      0,
    );
  },
};

type Check = { readonly check: string; readonly ok: boolean; readonly message: string; readonly exitCode?: ExitCode };

/** Runs the checks in order. If the server is unreachable, the other checks are left out. */
async function examine(context: Context): Promise<readonly Check[]> {
  const { settings, store } = context;
  const { state, reason, skewMs } = await probe(settings.url, "/readyz");
  const advice = "start it, or name another by --url, FLOWCALL_URL or a profile";
  const reached = state === "ready" || state === "not ready";
  const server = {
    check: "server",
    ok: reached,
    message: reached ? settings.url : `${settings.url} is ${state}${reason ? ` (${reason})` : ""}: ${advice}`,
  };
  if (!reached) {
    return [server];
  }
  const exposed =
    settings.keySource === "profile" && settings.profile ? await store.exposedKeyFile(settings.profile) : undefined;
  return [
    server,
    {
      check: "ready",
      ok: state === "ready",
      message:
        state === "ready"
          ? "it accepts calls"
          : `it accepts no calls${reason ? `: ${printable(reason)}` : "; see its log, and whether its database runs"}`,
    },
    clockCheck(skewMs),
    ...(await versionChecks(context)),
    ...(exposed === undefined
      ? []
      : [{ check: "key file", ok: false, message: `others may read ${exposed}: chmod 600 ${exposed}` }]),
    ...(await keyChecks(context)),
  ];
}

function clockCheck(skewMs = 0): Check {
  const seconds = Math.round(Math.abs(skewMs) / 1_000);
  const ok = Math.abs(skewMs) <= skewMaxMs;
  const message = ok
    ? "the clocks agree"
    : `this machine's clock is ${seconds} s ${skewMs > 0 ? "behind" : "before"} the server's: set it`;
  return { check: "clock", ok, message };
}

/** Reports methods that the server lacks. Left out where a proxy does not forward HTTP/2, which reflection needs. */
async function versionChecks({ connect }: Context): Promise<readonly Check[]> {
  const [client, { all }] = await Promise.all([connect(), Methods.load()]);
  const own = all.filter((method) => hasOption(method, scope));
  const served = await servedMethods(client, [...new Set(own.map(({ parent }) => parent.typeName))]).catch(
    () => undefined,
  );
  if (served === undefined) {
    return [];
  }
  const missing = own.map(fullName).filter((name) => !served.has(name));
  const message =
    missing.length === 0 ? "it has every method" : `it is of another version, and lacks ${missing.join(", ")}`;
  return [{ check: "version", ok: missing.length === 0, message }];
}

/** The server's methods, by gRPC reflection. */
async function servedMethods(client: Client, services: readonly string[]): Promise<ReadonlySet<string>> {
  const questions = services.map((service) => ({
    messageRequest: { case: "fileContainingSymbol" as const, value: service },
  }));
  const signal = AbortSignal.timeout(callMs);
  const found = new Set<string>();
  for await (const { messageResponse } of client.stream(ServerReflection.method.serverReflectionInfo, questions, {
    signal,
  })) {
    if (messageResponse.case !== "fileDescriptorResponse") {
      continue;
    }
    for (const bytes of messageResponse.value.fileDescriptorProto) {
      const file = fromBinary(FileDescriptorProtoSchema, bytes);
      for (const { name, method } of file.service) {
        for (const one of method) {
          found.add(`${file.package}.${name}.${one.name}`);
        }
      }
    }
  }
  return found;
}

/** The scopes that a key may have, as words. */
const grantable = ScopeSchema.values
  .filter(({ number }) => number !== Scope.UNSPECIFIED && number !== Scope.ANY)
  .map(({ name }) => name.replace("SCOPE_", "").toLowerCase());

/** Whose the key is and what it may do, and what that lets the later checks look at. */
async function keyChecks(context: Context): Promise<readonly Check[]> {
  const { key, url } = context.settings;
  const exitCode = exitCodes.unauthorized;
  if (key === undefined) {
    const message = `there is none for ${url}: set FLOWCALL_API_KEY, or flowcall profile add`;
    return [{ check: "key", ok: false, message, exitCode }];
  }
  const { principal, refusal } = await askPrincipal(context);
  if (refusal !== undefined) {
    const message = `${refusal.reason}: ${refusal.message} Set another in FLOWCALL_API_KEY, or flowcall profile add`;
    return [{ check: "key", ok: false, message, exitCode }];
  }
  if (principal === undefined) {
    // What is missing is said by the check of the version.
    return [];
  }
  const { environment, keyName, scopes } = principal;
  const lacks = grantable.filter((word) => !scopes.includes(word));
  const without = lacks.length > 0 ? `, without ${lacks.join(", ")}` : "";
  const message = `a ${environment} key named ${keyName} with the scopes ${scopes.join(", ")}${without}`;
  const ownKey = { check: "key", ok: true, message };
  return scopes.includes("read") ? [ownKey, ...(await nameChecks(context, await context.connect()))] : [ownKey];
}

/** Checks that the default account and integration exist. */
async function nameChecks({ settings }: Context, client: Client): Promise<readonly Check[]> {
  const { account, slug } = settings;
  const checks: Check[] = [];
  if (account !== undefined) {
    const problem = await missing(client, LinkedAccountService.method.getLinkedAccount, { accountId: account });
    const advice = `flowcall account put ${account} makes it`;
    checks.push({
      check: "account",
      ok: problem === undefined,
      message: problem ? `${account}: ${problem} ${advice}` : account,
    });
  }
  if (slug !== undefined) {
    const problem = await missing(client, IntegrationService.method.getIntegration, { slug });
    const advice = `flowcall integration ls lists those that are there, flowcall integration put ${slug} makes it`;
    checks.push({
      check: "slug",
      ok: problem === undefined,
      message: problem ? `${slug}: ${problem} ${advice}` : slug,
    });
  }
  return checks;
}

/** The server's message, if it refuses to show a thing. */
async function missing<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
): Promise<string | undefined> {
  try {
    await client.unary(method, request, { timeoutMs: callMs });
    return undefined;
  } catch (error) {
    const { reason, message } = await readFailure(error, client.settings.url);
    return reason === undefined ? message : `${reason}: ${message}`;
  }
}
