import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import type { Client } from "../client/client.ts";
import { curlOf } from "../client/curl.ts";
import type { Arguments } from "../command-line/arguments.ts";
import { type ExitCode, exitCodes } from "../output/exit-codes.ts";
import type { Output, Stdin } from "../output/output.ts";
import type { ProfileStore } from "../settings/profile-store.ts";
import type { Settings } from "../settings/settings.ts";

/** What a command works with. */
export type Context = {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdin: Stdin;
  readonly output: Output;
  readonly store: ProfileStore;
  readonly settings: Settings;
  /** Makes a client. What it is made of is loaded by then, and not for commands that call nobody. */
  connect(): Promise<Client>;
  /** Aborted when the person at the terminal has enough. */
  readonly signal: AbortSignal;
};

/** Sends one request, or prints it for curl, and goes on with the reply. */
export async function send<I extends DescMessage, O extends DescMessage>(
  { settings, output, signal, connect }: Context,
  given: Arguments,
  method: DescMethodUnary<I, O>,
  init: MessageInitShape<I>,
  show: (reply: MessageShape<O>) => ExitCode | Promise<ExitCode>,
): Promise<ExitCode> {
  if (given.isSet("curl")) {
    const command = curlOf(method, create(method.input, init), { url: settings.url });
    output.value({ command }, command);
    return exitCodes.done;
  }
  return await show(await (await connect()).unary(method, init, { signal }));
}
