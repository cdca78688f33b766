/**
 * How long after the first signal another one may be a copy of it. npm forwards its signals to its child, which Ctrl-C in
 * a terminal, or a supervisor that signals the whole process group (systemd), has signalled already.
 */
const duplicateMs = 500;

/** The scripts of package.json that start this program, and npx. npm sets `npm_lifecycle_event` to the name of its script. */
const scripts = ["start", "flowcall", "npx"];

/** How often a program that npx started looks whether its parent still lives. */
const parentMs = 500;

export type StopSignals = {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Called with the first signal. */
  readonly stop: (signal: NodeJS.Signals) => void;
  /** Called with each further one: its sender does not want to wait for a graceful shutdown. */
  readonly end: (signal: NodeJS.Signals) => void;
};

/** Handles SIGTERM and SIGINT for the lifetime of the process. */
export function handleStopSignals({ environment, stop, end }: StopSignals): void {
  const isForwarded = scripts.includes(environment["npm_lifecycle_event"] ?? "");
  let firstTime: number | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (firstTime === undefined) {
      firstTime = performance.now();
      stop(signal);
    } else if (!isForwarded || performance.now() - firstTime > duplicateMs) {
      end(signal);
    }
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  if (environment["npm_lifecycle_event"] === "npx") {
    stopWithParent(() => onSignal("SIGTERM"));
  }
}

/** npx runs a shell, which a signal to npx ends, and its child hears nothing of it. */
function stopWithParent(stop: () => void): void {
  const { ppid } = process;
  const timer = setInterval(() => {
    if (process.ppid !== ppid) {
      clearInterval(timer);
      stop();
    }
  }, parentMs).unref();
}
