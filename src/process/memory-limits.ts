import { getHeapStatistics } from "node:v8";

/** The size of V8's old generation in MiB: its default, and the bounds of FLOWCALL_HEAP_MIB. */
export const heapMib = { default: 512, min: 64, max: 1024 * 1024 } as const;

/**
 * The size of each of the three semi-spaces of V8's young generation, in MiB. A larger one is collected less often and
 * copies less. But V8 keeps up to three times this as garbage while the process is idle.
 */
const semiSpaceMib = 16;

/** Heap limits that the operator sets, in V8's spellings. */
const heapFlags = /--(max[-_]old[-_]space[-_]size|max[-_]heap[-_]size)/;
const youngFlags = /--(max[-_])?semi[-_]space[-_]/;

/**
 * glibc's malloc (https://man7.org/linux/man-pages/man3/mallopt.3.html). By default it raises its mmap threshold to the
 * size of the last freed block, up to 32 MiB, so that request bodies fragment a heap that does not shrink. A fixed
 * threshold prevents this. Each arena fragments separately, so there are only two.
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
  /** V8's own limit of the heap for this machine or container, in MiB. */
  readonly machineMib: number;
};

/** Flags of Node and environment variables that the process needs and was not started with. */
export type Missing = { readonly flags: readonly string[]; readonly variables: Readonly<Record<string, string>> };

/** Finds the limits that are missing. What the operator sets stays: by flags, in NODE_OPTIONS, or by glibc's variables. */
export function missingLimits({ environment, execArgv, platform, machineMib }: Start): Missing {
  const options = `${execArgv.join(" ")} ${environment["NODE_OPTIONS"] ?? ""}`;
  const asked = readHeapMib(environment["FLOWCALL_HEAP_MIB"]);
  // On a machine with little memory V8's own limit is lower, and stays.
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
  /** Further variables of the new process, unless they are set. */
  readonly others: Readonly<Record<string, string>>;
};

/**
 * Re-executes the process (execve) with the limits that it lacks, since V8 and glibc read theirs only at start. It keeps
 * its id, its parent and its terminal, so that signals and supervisors find it.
 *
 * The process continues without them where that is not possible: on Windows, as a child with an IPC channel to its parent
 * (`node --watch`), which would be closed, and under Node's permission model.
 */
export function limitMemory({ environment, others }: LimitMemory): void {
  const { execArgv, platform } = process;
  const { flags, variables } = missingLimits({ environment, execArgv, platform, machineMib: heapLimitMib() });
  if (flags.length === 0 && Object.keys(variables).length === 0) {
    return;
  }
  if (platform === "win32" || process.execve === undefined || process.channel !== undefined) {
    return;
  }
  const args = [process.execPath, ...flags, ...execArgv, ...process.argv.slice(1)];
  try {
    process.execve(process.execPath, args, { ...others, ...environment, ...variables });
  } catch {
    // The log shows the limit that applies.
  }
}

/** The limit of this process's heap in MiB, both generations together. */
export function heapLimitMib(): number {
  return Math.round(getHeapStatistics().heap_size_limit / 1024 ** 2);
}

/** Undefined if it is not set, or wrong: `readConfig` reports all wrong settings together. */
function readHeapMib(text: string | undefined): number | undefined {
  const mib = /^\d{1,15}$/.test(text ?? "") ? Number(text) : undefined;
  return mib !== undefined && mib >= heapMib.min && mib <= heapMib.max ? mib : undefined;
}
