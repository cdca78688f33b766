/**
 * How long after the first signal another one may be the same, in milliseconds. npm passes on what it is sent to the
 * program that it has started, which Ctrl-C in a terminal, and a supervisor that signals a whole group (systemd), have
 * told already.
 */
const echoMs = 500;

/** The scripts of package.json by which npm starts what is stopped here; npm tells its script by this variable. */
const scripts = ["start", "flowcall"];

export type StopSignals = {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Told of the first signal. */
  readonly stop: (signal: NodeJS.Signals) => void;
  /** Told of each further one: whoever sends it does not want to wait. */
  readonly end: (signal: NodeJS.Signals) => void;
};

/** Hears SIGTERM and SIGINT for as long as the process lives. */
export function hearStopSignals({ environment, stop, end }: StopSignals): void {
  const hasEcho = scripts.includes(environment["npm_lifecycle_event"] ?? "");
  let firstTime: number | undefined;
  const hear = (signal: NodeJS.Signals): void => {
    if (firstTime === undefined) {
      firstTime = performance.now();
      stop(signal);
    } else if (!hasEcho || performance.now() - firstTime > echoMs) end(signal);
  };
  process.on("SIGTERM", hear);
  process.on("SIGINT", hear);
}
