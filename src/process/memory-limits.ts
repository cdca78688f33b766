import { getHeapStatistics } from "node:v8";

/** How large V8's heap of what lives long may grow, in MiB, and within what bounds FLOWCALL_HEAP_MIB may set that. */
export const heapMib = { default: 512, min: 64, max: 1024 * 1024 } as const;

/**
 * How large each of the three parts of V8's heap of what is young may grow, in MiB. A larger one is collected more seldom
 * and copies less; three times this is garbage that V8 sees no reason to collect while the process is at rest.
 */
const semiSpaceMib = 16;

/** What a heap limit of the operator's own looks like, in V8's spellings. */
const heapFlags = /--(max[-_]old[-_]space[-_]size|max[-_]heap[-_]size)/;
const youngFlags = /--(max[-_])?semi[-_]space[-_]/;

/**
 * How glibc keeps what was freed. Where it decides by itself, it raises the size from which memory is taken of the
 * machine piece by piece, and given back so, to what was freed last, up to 32 MiB: bodies of requests then leave holes in
 * a heap that does not shrink. Two arenas, since each one has holes of its own.
 * https://man7.org/linux/man-pages/man3/mallopt.3.html
 */
const glibcVariables = {
  MALLOC_ARENA_MAX: "2",
  MALLOC_MMAP_THRESHOLD_: String(128 * 1024),
  MALLOC_TRIM_THRESHOLD_: String(256 * 1024),
} as const;

export type Start = {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly execArgv: readonly string[];
  readonly platform: string;
  /** What V8 would let the heap grow to by itself, as it sees the machine or the container, in MiB. */
  readonly machineMib: number;
};

/** Flags of Node and variables that a process needs, and was not started with. */
export type Missing = { readonly flags: readonly string[]; readonly variables: Readonly<Record<string, string>> };

/**
 * What is missing of the limits. What the operator has set is not: a flag of V8's on the command line or in NODE_OPTIONS,
 * a variable of glibc's.
 */
export function missingLimits({ environment, execArgv, platform, machineMib }: Start): Missing {
  const options = `${execArgv.join(" ")} ${environment["NODE_OPTIONS"] ?? ""}`;
  const asked = readHeapMib(environment["FLOWCALL_HEAP_MIB"]);
  // On a machine with little memory V8's own limit is the lower one, and knows better.
  const mib = asked ?? (machineMib < heapMib.default ? undefined : heapMib.default);
  const flags = [
    ...(mib === undefined || heapFlags.test(options) ? [] : [`--max-old-space-size=${mib}`]),
    ...(youngFlags.test(options) ? [] : [`--max-semi-space-size=${semiSpaceMib}`]),
  ];
  const unset = Object.entries(glibcVariables).filter(([name]) => environment[name] === undefined);
  return { flags, variables: platform === "linux" ? Object.fromEntries(unset) : {} };
}

export type LimitMemory = {
  readonly environment: NodeJS.ProcessEnv;
  /** Variables that a process started anew gets too, where they are not set. */
  readonly others: Readonly<Record<string, string>>;
};

/**
 * Starts the process anew with what it lacks, in its place (execve): it keeps its id, its parent and its terminal, so that
 * signals and supervisors find it. V8 and glibc read their limits once, when a process begins.
 *
 * It runs on as it is where that cannot be: on Windows; as a child with a channel to its parent (`node --watch`), which
 * would be cut off; where Node's permission model forbids it.
 */
export function limitMemory({ environment, others }: LimitMemory): void {
  const { execArgv, platform } = process;
  const { flags, variables } = missingLimits({ environment, execArgv, platform, machineMib: heapLimitMib() });
  if (flags.length === 0 && Object.keys(variables).length === 0) return;
  if (platform === "win32" || process.execve === undefined || process.channel !== undefined) return;
  const args = [process.execPath, ...flags, ...execArgv, ...process.argv.slice(1)];
  try {
    process.execve(process.execPath, args, { ...others, ...environment, ...variables });
  } catch {
    // The log says what the limit is in the end.
  }
}

/** How large this process's heap may grow in all, in MiB: what lives long and what is young. */
export function heapLimitMib(): number {
  return Math.round(getHeapStatistics().heap_size_limit / 1024 ** 2);
}

/** Undefined where it is not set; a wrong one is told with all other wrong settings when they are read. */
function readHeapMib(text: string | undefined): number | undefined {
  const mib = /^\d{1,15}$/.test(text ?? "") ? Number(text) : undefined;
  return mib !== undefined && mib >= heapMib.min && mib <= heapMib.max ? mib : undefined;
}
