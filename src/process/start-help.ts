/** What `npm start -- --help` says. */
export const startHelp = `Starts the Flowcall service, and runs it until SIGTERM or Ctrl-C. It takes no arguments but these:

  --help, -h     says this
  --version, -v  says the version

Everything else is set by environment variables; docs/settings.md has all of them. Those that a start
needs most:

  FLOWCALL_HOST, FLOWCALL_PORT   where it listens (127.0.0.1, 4180; port 0 is any free one)
  FLOWCALL_DATABASE_URL          a Postgres of your own, as postgres://user:password@host:5432/database;
                                 the embedded one where it is not set
  FLOWCALL_DATA_DIR              where the embedded Postgres and keys.json are kept (.flowcall; as root
                                 /var/lib/flowcall/<hash of the folder>)
  FLOWCALL_EXAMPLES              true or false: whether example workflows are loaded (true on the embedded database)
  FLOWCALL_LOG_LEVEL             debug, info, warn, error or silent (info)
  FLOWCALL_LOG_FORMAT            text or json (text where stderr is a terminal, else json)

As root: Postgres does not run as root, so the embedded one runs as the user postgres, or nobody. That user must be able
to enter FLOWCALL_DATA_DIR and every folder above it: choose one outside of /root, or open those folders (chmod o+x).

It ends with 0 when it was stopped, with 1 when it could not start or stop in order, with 2 when a setting is wrong.
Another signal while it stops ends it at once. The command line is \`npm run -s flowcall -- --help\`, and the operator's
\`npm run -s flowcall-admin -- --help\`. docs/operating.md says more.
`;
