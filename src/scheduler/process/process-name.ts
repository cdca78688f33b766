import { readFile, readlink } from "node:fs/promises";

/**
 * The name of a process for others on its machine: which start of the machine, which space of process ids, which id, and
 * when it began. No other process has ever the same. Undefined where the system does not say that: beside Linux.
 */
export async function nameProcess(pid = process.pid): Promise<string | undefined> {
  const life = await readLife(pid);
  const machine = await nameMachine();
  return life === undefined || machine === undefined ? undefined : `${machine} ${pid} ${life.startTime}`;
}

/** Whether a process by this name has ended for certain: it was one of this machine, and is no more. */
export async function hasEnded(name: string): Promise<boolean> {
  const [boot, space, pid = "", startTime] = name.split(" ");
  if (`${boot} ${space}` !== (await nameMachine()) || !/^\d+$/.test(pid)) return false;
  // Also told of processes of other users, whose files may not be shown.
  if (!isThere(Number(pid))) return true;
  const life = await readLife(Number(pid));
  return life !== undefined && (life.startTime !== startTime || life.isOver);
}

async function nameMachine(): Promise<string | undefined> {
  try {
    const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8");
    return `${boot.trim()} ${await readlink("/proc/self/ns/pid")}`;
  } catch {
    return undefined;
  }
}

/** When a process began, in ticks since the machine did, and whether it only waits to be reaped. */
async function readLife(pid: number): Promise<{ readonly startTime: string; readonly isOver: boolean } | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in parentheses, which may hold anything.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const [state = "", startTime] = [fields[0], fields[19]];
    return startTime === undefined ? undefined : { startTime, isOver: /[ZX]/.test(state) };
  } catch {
    return undefined;
  }
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && "code" in error && error.code === "ESRCH");
  }
}
