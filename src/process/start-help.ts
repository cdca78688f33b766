import { programNames } from "./program-names.ts";

/** The output of `npm start -- --help`, or `flowcall-server --help`. */
export function startHelp(environment: Readonly<Record<string, string | undefined>>): string {
  const { flowcall, admin } = programNames(environment);
  return `Starts the Flowcall service, and runs it until SIGTERM or Ctrl-C. It takes no arguments but these:

  --help, -h     shows this help
  --version, -v  shows the version

Everything else is set by environment variables. docs/settings.md lists all of them; these are the most important:

  FLOWCALL_HOST, FLOWCALL_PORT   the address and port to listen on (127.0.0.1, 4180; port 0 is any free one)
  FLOWCALL_DATABASE_URL          a Postgres of your own, as postgres://user:password@host:5432/database;
                                 the embedded one if it is not set
  FLOWCALL_DATA_DIR              the folder of the embedded Postgres and of keys.json (.flowcall; as root
                                 /var/lib/flowcall/<hash of the folder>)
  FLOWCALL_WORKERS               auto, or how many processes serve calls (1)
  FLOWCALL_EXAMPLES              true or false: whether example workflows are loaded (true on the embedded database)
  FLOWCALL_METRICS_PORT          the port of metrics for Prometheus (none)
  FLOWCALL_LOG_LEVEL             debug, info, warn, error or silent (info)
  FLOWCALL_LOG_EXECUTIONS        failed, all or none: which executions are a line of the log when they end (failed)
  FLOWCALL_LOG_FORMAT            text or json (text if stderr is a terminal, else json)

As root: Postgres does not run as root, so the embedded one runs as the user postgres, or nobody. That user must be able
to enter FLOWCALL_DATA_DIR and every folder above it: choose one outside of /root, or open those folders (chmod o+x).

Exit status: 0 after a stop, 1 if it could not start or stop properly, 2 if a setting is wrong. A second signal during a
stop ends it at once. The command line is \`${flowcall} --help\`, and the operator's
\`${admin} --help\`. docs/operating.md says more.
`;
}
