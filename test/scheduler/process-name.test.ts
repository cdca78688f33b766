import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { hasEnded, nameProcess } from "../../src/scheduler/process/process-name.ts";

const isTold = process.platform === "linux";

test.runIf(isTold)("a process has ended when it is killed, and not while it runs or stands still", async () => {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
  await once(child, "spawn");
  const name = (await nameProcess(child.pid)) ?? "";
  expect(name).toMatch(/^\S+ pid:\[\d+\] \d+ \d+$/);
  expect(await hasEnded(name)).toBe(false);
  child.kill("SIGSTOP");
  expect(await hasEnded(name)).toBe(false);
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(await hasEnded(name)).toBe(true);
});

test.runIf(isTold)("another process by the same number is another one", async () => {
  const own = (await nameProcess()) ?? "";
  expect(await hasEnded(own)).toBe(false);
  expect(await hasEnded(own.replace(/\d+$/, "1"))).toBe(true);
});

test.runIf(isTold)("of a process of another machine, or of no such name, nothing is known", async () => {
  const [boot, space, , time] = ((await nameProcess()) ?? "").split(" ");
  for (const name of [
    `other ${space} 999999 ${time}`,
    `${boot} pid:[1] 999999 ${time}`,
    "",
    `${boot} ${space} all 1`,
  ]) {
    expect([name, await hasEnded(name)]).toEqual([name, false]);
  }
  expect(await hasEnded(`${boot} ${space} 4194304 ${time}`)).toBe(true);
});
