import { readFile, readlink } from "node:fs/promises";

/**
 * Names a process for the others on its machine by the boot id, the pid namespace, the pid and the start time, which
 * together are never used twice (a pid alone is). Undefined on systems without `/proc`, that is, other than Linux.
 */
export async function nameProcess(pid = process.pid): Promise<string | undefined> {
  const stat = await readStat(pid);
  const machine = await nameMachine();
  return stat === undefined || machine === undefined ? undefined : `${machine} ${pid} ${stat.startTime}`;
}

/** Whether the process of this name ran on this machine and has certainly ended. */
export async function hasEnded(name: string): Promise<boolean> {
  const [boot, namespace, pid = "", startTime] = name.split(" ");
  if (`${boot} ${namespace}` !== (await nameMachine()) || !/^\d+$/.test(pid)) {
    return false;
  }
  // Signal 0 also finds processes of other users, whose `/proc` files may be hidden from us.
  if (!isAlive(Number(pid))) {
    return true;
  }
  const stat = await readStat(Number(pid));
  return stat !== undefined && (stat.startTime !== startTime || stat.isZombie);
}

async function nameMachine(): Promise<string | undefined> {
  try {
    const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8");
    return `${boot.trim()} ${await readlink("/proc/self/ns/pid")}`;
  } catch {
    return undefined;
  }
}

/** Reads a process's start time, in clock ticks since boot, and whether it is a zombie that waits to be reaped (proc(5)). */
async function readStat(pid: number): Promise<{ readonly startTime: string; readonly isZombie: boolean } | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in parentheses, which may contain anything, blanks and parentheses too.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const [state = "", startTime] = [fields[0], fields[19]];
    return startTime === undefined ? undefined : { startTime, isZombie: /[ZX]/.test(state) };
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && "code" in error && error.code === "ESRCH");
  }
}
