import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import type { Client } from "../client/client.ts";
import { curlOf } from "../client/curl.ts";
import type { Arguments } from "../command-line/arguments.ts";
import { type ExitCode, exitCodes } from "../output/exit-codes.ts";
import type { Output, Stdin } from "../output/output.ts";
import type { ProfileStore } from "../settings/profile-store.ts";
import type { Settings } from "../settings/settings.ts";

/** Everything that a command may use beside its arguments. */
export type Context = {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdin: Stdin;
  readonly output: Output;
  readonly store: ProfileStore;
  readonly settings: Settings;
  /** Makes a client. Its libraries are loaded only now, so that commands without a call start faster. */
  connect(): Promise<Client>;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
};

/** Sends one request and passes the reply to `show`; with `--curl` it prints the request instead. */
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
