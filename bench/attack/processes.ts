import { readFileSync } from "node:fs";

/** What a tree of processes takes of the machine, Postgres apart. */
export type Usage = {
  readonly rssBytes: number;
  readonly postgresBytes: number;
  /** Of the server with its children, since they began. */
  readonly cpuMs: number;
  /** The server's children, Postgres apart. */
  readonly children: number;
};

const pageBytes = 4_096;
/** Linux counts the CPU's time in hundredths of a second. */
const tickMs = 10;

/** Looks at all processes that descend from one. What has ended meanwhile counts as nothing. */
export function usageOf(rootPid: number): Usage {
  const usage = { rssBytes: 0, postgresBytes: 0, cpuMs: 0, children: -1 };
  for (const pid of descendants(rootPid)) {
    const stat = read(`/proc/${pid}/stat`);
    // The name may hold spaces and brackets: what follows begins behind the last bracket.
    const name = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (name === "sh" || fields.length < 15) {
      continue;
    }
    if (name === "postgres") {
      // Shared buffers count once.
      usage.postgresBytes += 1_024 * Number(/^Pss:\s+(\d+)/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0);
      continue;
    }
    usage.children += 1;
    usage.rssBytes += pageBytes * Number(read(`/proc/${pid}/statm`).split(" ")[1] ?? 0);
    usage.cpuMs += tickMs * (Number(fields[11]) + Number(fields[12]));
  }
  return usage;
}

/** The CPUs' time that all processes of the machine have taken since it began. */
export function machineCpuMs(): number {
  const [all = ""] = read("/proc/stat").split("\n");
  const [, user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = all.split(/ +/).map(Number);
  return tickMs * (user + nice + system + irq + softirq);
}

/** Of the server's Postgres, since it began. */
export function postgresCpuMs(rootPid: number): number {
  let cpuMs = 0;
  for (const pid of descendants(rootPid)) {
    const stat = read(`/proc/${pid}/stat`);
    if (!stat.includes("(postgres)")) {
      continue;
    }
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // With its own that of the processes that it waited for.
    cpuMs += tickMs * [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]), 0);
  }
  return cpuMs;
}

function descendants(pid: number): readonly number[] {
  const children = read(`/proc/${pid}/task/${pid}/children`).trim().split(" ").filter(Boolean).map(Number);
  return [pid, ...children.flatMap(descendants)];
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
