import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { ChildMode, NewExecution, NodeRun, Outcome } from "../../src/domain/execution.ts";
import { newId } from "../../src/domain/id.ts";
import type { ExecutionLog } from "../../src/scheduler/run/execution-log.ts";
import type { ClaimedExecution } from "../../src/storage/claims/claim-executions.ts";
import type { ReadSet } from "../../src/storage/tenants/read-set.ts";
import { createTenant, json, nodeRun, openStores, type Stores, type Tenant } from "../storage/fixture.ts";
import { eventually } from "../support/eventually.ts";
import { MemoryLog } from "./memory-log.ts";

const completed: Outcome = { state: "COMPLETED", response: json('"done"') };
const stopped: Outcome = { state: "STOPPED", error: { reason: "EXECUTION_STOPPED", message: "Stopped." } };

type Subject = {
  readonly log: ExecutionLog;
  readonly newExecution: () => NewExecution;
  /** Frees what an owner has that no process is any more. */
  readonly dropOwner: (owner: string) => Promise<unknown>;
  /** What a call is resolved by. */
  readonly read: () => Promise<ReadSet>;
  readonly change: (readSet: ReadSet) => Promise<unknown>;
};

/** A log in memory knows nothing of what is read. */
const reading: ReadSet = {
  environmentId: "",
  workflowId: undefined,
  alias: "one",
  slug: undefined,
  accountId: "",
  workflow: "",
  account: "",
  config: undefined,
};

let stores: Stores;
let tenant: Tenant;

beforeAll(async () => {
  stores = await openStores();
  tenant = await createTenant(stores);
});

afterAll(() => stores.close());

const subjects: Readonly<Record<string, () => Subject>> = {
  Postgres: () => ({
    log: { executions: stores.executions, claims: stores.claims, signals: stores.signals, children: stores.children },
    newExecution: tenant.newExecution,
    dropOwner: () => stores.reaper.reap({ owner: "judge", now: Date.now() }),
    read: async () => {
      const { readSet } = await stores.workflows.resolveCall({ ...tenant, reference: { workflow: "one" } });
      if (readSet === undefined) {
        throw new Error("the call has no read set");
      }
      return readSet;
    },
    change: () => stores.workflows.update(tenant.actor, { reference: { workflow: tenant.workflowId }, name: newId() }),
  }),
  memory: () => {
    const log = new MemoryLog();
    return {
      log: { executions: log, claims: log, signals: log, children: log.children },
      newExecution: tenant.newExecution,
      dropOwner: (owner) => log.release({ owner }),
      read: async () => ({ ...reading }),
      change: async (readSet) => log.change(readSet),
    };
  },
};

describe.each(Object.entries(subjects))("the execution log in %s", (_, create) => {
  let subject: Subject;
  let owner: string;
  let other: string;

  beforeEach(() => {
    subject = create();
    [owner, other] = [newId(), newId()];
  });

  async function begin(begin: Parameters<ExecutionLog["executions"]["begin"]>[1] = {}): Promise<NewExecution> {
    const execution = subject.newExecution();
    expect(await subject.log.executions.begin(execution, begin)).toBeUndefined();
    return execution;
  }

  /** Claims an execution, if it is due. */
  async function claim(execution: NewExecution, owner: string): Promise<ClaimedExecution | undefined> {
    const claimed = await subject.log.claims.claim({ owner, shares: [{ ...execution, count: 100 }] });
    return claimed.find(({ id }) => id === execution.id);
  }

  const claimOf = ({ id, organizationId, environmentId }: NewExecution, owner: string, epoch: number) => ({
    executionId: id,
    organizationId,
    environmentId,
    owner,
    epoch,
  });

  async function readJournal(execution: NewExecution): Promise<readonly [next: number, paths: readonly string[]]> {
    const { nextFlushIndex, read } = await subject.log.executions.openJournal(execution);
    const runs: NodeRun[] = [];
    for await (const some of read()) {
      runs.push(...some);
    }
    return [nextFlushIndex, runs.map(({ path }) => path)];
  }

  test("gives an accepted execution to one claimer alone, with what it starts from", async () => {
    const execution = await begin();
    const claims = await Promise.all([claim(execution, owner), claim(execution, other)]);
    const [claimed, ...rest] = claims.filter((one) => one !== undefined);
    expect(rest).toEqual([]);
    expect(claimed).toMatchObject({ id: execution.id, payload: execution.payload, epoch: 1 });
  });

  test("replays what was recorded, in order, and a repeated flush once", async () => {
    const execution = await begin({ owner });
    const held = claimOf(execution, owner, 1);
    const { executions, claims } = subject.log;
    for (const flushIndex of [0, 1, 1]) {
      const runs = [nodeRun(`${flushIndex}a`), nodeRun(`${flushIndex}b`)];
      expect(await executions.append({ ...held, flushIndex, runs })).toBe(true);
    }
    await claims.release({ owner });
    expect(await claim(execution, other)).toMatchObject({ epoch: 2 });
    expect(await readJournal(execution)).toEqual([2, ["0a", "0b", "1a", "1b"]]);
  });

  test("fences an owner off that another has succeeded", async () => {
    const execution = await begin({ owner });
    const late = claimOf(execution, owner, 1);
    const { executions, claims } = subject.log;
    await claims.release({ owner });
    const { epoch = 0 } = (await claim(execution, owner)) ?? {};
    expect(epoch).toBe(2);
    expect([
      await executions.append({ ...late, flushIndex: 0, runs: [nodeRun("late")] }),
      await executions.finish({ ...late, outcome: stopped }),
      await claims.suspend({ ...late, ms: 1, wakeTime: 1 }),
      await claims.defer({ ...late, ms: 1 }),
    ]).toEqual([false, false, false, false]);
    expect(await readJournal(execution)).toEqual([0, []]);
    expect(await executions.finish({ ...claimOf(execution, owner, epoch), outcome: completed })).toBe(true);
  });

  test("gives a sleeping execution to nobody before its time, and then with that time", async () => {
    const [long, short] = [await begin({ owner }), await begin({ owner })];
    const { claims } = subject.log;
    expect(await claims.suspend({ ...claimOf(long, owner, 1), ms: 60_000, wakeTime: 7 })).toBe(true);
    expect(await claims.suspend({ ...claimOf(short, owner, 1), ms: 20, wakeTime: 8 })).toBe(true);
    const claimed = await eventually(async () => {
      const due = await claim(short, other);
      expect(due).toBeDefined();
      return due;
    });
    expect(claimed).toMatchObject({ epoch: 2, wakeTime: 8 });
    expect(await claim(long, other)).toBeUndefined();
  });

  test("ends a stopped execution at once and once, and its owner ends it no more", async () => {
    const execution = await begin({ owner });
    const { executions } = subject.log;
    const { id: executionId, environmentId } = execution;
    const stop = () => executions.stop({ executionId, environmentId, outcome: stopped });
    expect(await stop()).toMatchObject({ state: "STOPPED" });
    expect(await stop()).toBeUndefined();
    expect(await executions.finish({ ...claimOf(execution, owner, 1), outcome: completed })).toBe(false);
    expect(await executions.getResult({ ...execution, executionId })).toMatchObject({ state: "STOPPED" });
  });

  test("lists how executions ended to those who wait, and says an end again to an owner that repeats it", async () => {
    const [ended, running] = [await begin({ owner }), await begin({ owner })];
    const inMemory = subject.newExecution();
    const { executions } = subject.log;
    const finish = () => executions.finish({ ...claimOf(ended, owner, 1), outcome: completed });
    expect([await finish(), await finish()]).toEqual([true, true]);
    await executions.recordFinished(inMemory, completed, [nodeRun("1")]);
    const { outcomes } = await executions.listEnded([ended.id, running.id, inMemory.id]);
    expect(Object.fromEntries(outcomes)).toEqual({ [ended.id]: completed, [inMemory.id]: completed });
    expect(await claim(inMemory, other)).toBeUndefined();
  });

  test("keeps a response that was recorded before the end, whatever the end says", async () => {
    const execution = await begin({ owner });
    const { executions } = subject.log;
    const held = claimOf(execution, owner, 1);
    await executions.append({ ...held, flushIndex: 0, runs: [nodeRun("1")], answer: { response: json('"early"') } });
    await executions.finish({ ...held, outcome: completed });
    const { outcomes } = await executions.listEnded([execution.id]);
    expect(outcomes.get(execution.id)).toEqual({ ...completed, response: '"early"' });
  });

  test("binds an idempotency key to the first of the executions that race with it", async () => {
    const idempotencyKey = { key: newId(), fingerprint: "f" };
    const [one, two] = [subject.newExecution(), subject.newExecution()];
    const { executions } = subject.log;
    const answers = await Promise.all([one, two].map((execution) => executions.begin(execution, { idempotencyKey })));
    const first = answers[0] === undefined ? one : two;
    const bound = { executionId: first.id, fingerprint: "f" };
    expect(answers.filter((answer) => answer !== undefined)).toEqual([bound]);
    expect(await executions.findBound(first, idempotencyKey.key)).toEqual(bound);
  });

  test("writes nothing for a call whose read set has changed, and what was read again holds", async () => {
    const { executions } = subject.log;
    const readSet = await subject.read();
    const begun = await begin({ readSet });
    const recorded = subject.newExecution();
    expect(await executions.recordFinished(recorded, completed, [], readSet)).toBe(true);
    await subject.change(readSet);
    // Their first tries were committed, and only the answers were lost.
    expect(await executions.begin(begun, { readSet })).toBeUndefined();
    expect(await executions.recordFinished(recorded, completed, [], readSet)).toBe(true);
    const [accepted, finished] = [subject.newExecution(), subject.newExecution()];
    const idempotencyKey = { key: newId(), fingerprint: "f" };
    expect(await executions.begin(accepted, { readSet, owner, idempotencyKey })).toBe("changed");
    expect(await executions.recordFinished(finished, completed, [nodeRun("1")], readSet)).toBe(false);
    for (const execution of [accepted, finished]) {
      expect(await executions.getResult({ ...execution, executionId: execution.id })).toBeUndefined();
    }
    expect(await executions.findBound(accepted, idempotencyKey.key)).toBeUndefined();
    expect(await executions.begin(accepted, { readSet: await subject.read(), owner, idempotencyKey })).toBeUndefined();
  });

  test("gives what a dropped owner had to another, in a new epoch", async () => {
    const execution = await begin({ owner });
    expect(await claim(execution, other)).toBeUndefined();
    await subject.dropOwner(owner);
    expect(await claim(execution, other)).toMatchObject({ epoch: 2 });
  });

  const signalOf = ({ id: executionId, environmentId }: NewExecution, value = "1", name = "4[2]/7") => {
    return { executionId, environmentId, name, value, digest: `digest of ${value}` };
  };

  test("keeps the first signal of a name, before its wait and for every later owner, and knows it again", async () => {
    const [execution, another] = [await begin(), await begin()];
    const { signals } = subject.log;
    expect(await signals.read(signalOf(execution))).toBe("none");
    const sets = await Promise.all(["1", "2"].map((value) => signals.set(signalOf(execution, value))));
    expect([...sets].sort()).toEqual(["set", "taken"]);
    const first = sets[0] === "set" ? "1" : "2";
    expect(await signals.set(signalOf(execution, first))).toBe("repeated");
    expect(await signals.read(signalOf(execution))).toEqual({ value: first });
    expect(await signals.read(signalOf(execution, first, "4[3]/7"))).toBe("none");
    expect(await signals.read(signalOf(another))).toBe("none");
  });

  test("wakes a sleeping execution by a signal, and lets none sleep on a signal that is there", async () => {
    const [later, before, of] = [await begin({ owner }), await begin({ owner }), await begin({ owner })];
    const { claims, signals } = subject.log;
    const sleep = (execution: NewExecution) =>
      claims.suspend({ ...claimOf(execution, owner, 1), ms: 60_000, wakeTime: 7, awaits: ["x", "4[2]/7"] });
    await signals.set(signalOf(before));
    await signals.set(signalOf(of, "1", "another wait"));
    expect([await sleep(later), await sleep(before), await sleep(of)]).toEqual([true, true, true]);
    expect(await claim(before, other)).toMatchObject({ epoch: 2 });
    expect(await claim(later, other)).toBeUndefined();
    expect(await claim(of, other)).toBeUndefined();
    expect(await signals.set(signalOf(later))).toBe("set");
    // Its wake time lies ahead, and no wait on a time is over.
    expect(await claim(later, other)).not.toHaveProperty("wakeTime");
  });

  test("loses no signal that is set while the execution goes to sleep", async () => {
    const { claims, signals } = subject.log;
    for (let index = 0; index < 20; index += 1) {
      const execution = await begin({ owner });
      const sleep = { ...claimOf(execution, owner, 1), ms: 60_000, wakeTime: 7, awaits: ["4[2]/7"] };
      const [isAsleep, set] = await Promise.all([claims.suspend(sleep), signals.set(signalOf(execution))]);
      expect([isAsleep, set]).toEqual([true, "set"]);
      expect(await claim(execution, other)).toMatchObject({ epoch: 2 });
    }
  });

  test("ends a wait by its signal or by its owner, whichever comes first, and by no owner that was succeeded", async () => {
    const [first, late] = [await begin({ owner }), await begin({ owner })];
    const { claims, signals } = subject.log;
    const close = (execution: NewExecution, epoch = 1) =>
      signals.close({ ...claimOf(execution, epoch === 1 ? owner : other, epoch), name: "4[2]/7" });
    await signals.set(signalOf(first));
    expect(await close(first)).toEqual({ value: "1" });
    expect([await close(late), await close(late)]).toEqual(["closed", "closed"]);
    expect(await signals.set(signalOf(late))).toBe("closed");
    const race = await begin({ owner });
    const [closed, set] = await Promise.all([close(race), signals.set(signalOf(race))]);
    expect(set === "set" ? [{ value: "1" }] : ["closed"]).toEqual([closed]);
    const overtaken = await begin({ owner });
    await claims.release({ owner });
    await claim(overtaken, other);
    expect(await close(overtaken)).toBe("superseded");
    expect(await signals.read(signalOf(overtaken))).toBe("none");
  });

  test("takes no signal for an execution that has ended, but knows the one that it had", async () => {
    const [heard, silent] = [await begin({ owner }), await begin({ owner })];
    const { executions, signals } = subject.log;
    await signals.set(signalOf(heard));
    for (const execution of [heard, silent]) {
      await executions.finish({ ...claimOf(execution, owner, 1), outcome: completed });
    }
    expect(await signals.set(signalOf(heard))).toBe("repeated");
    expect(await signals.set(signalOf(heard, "2"))).toBe("taken");
    expect(await signals.set(signalOf(silent))).toBe("ended");
  });

  const childOf = (parent: NewExecution, name: string, mode: ChildMode = "WAIT", epoch = 1) => ({
    ...claimOf(parent, owner, epoch),
    ...{ name, mode, begin: {} },
    execution: { ...subject.newExecution(), source: "SUB_FLOW" as const },
  });

  async function beginChild(parent: NewExecution, name: string, mode?: ChildMode): Promise<NewExecution> {
    const child = childOf(parent, name, mode);
    expect(await subject.log.children.begin(child)).toEqual({ executionId: child.execution.id });
    return child.execution;
  }

  test("begins one child under each name, ahead of calls, and none for an owner that was succeeded", async () => {
    const { children, claims } = subject.log;
    const parent = await begin({ owner });
    const [one, two] = [childOf(parent, "2#1#child"), childOf(parent, "2#1#child")];
    const begun = await Promise.all([children.begin(one), children.begin(two)]);
    expect(begun[0]).toEqual(begun[1]);
    const { executionId } = Object(begun[0]);
    expect(await children.find({ ...claimOf(parent, owner, 1), name: "2#1#child" })).toBe(executionId);
    const [first] = await claims.claim({ owner: other, shares: [{ ...parent, count: 1 }] });
    expect(first).toMatchObject({ id: executionId, epoch: 1 });
    await subject.dropOwner(owner);
    await claim(parent, other);
    expect(await children.begin(childOf(parent, "2#2#child"))).toBe("superseded");
    expect(await children.find({ ...claimOf(parent, owner, 1), name: "2#2#child" })).toBeUndefined();
  });

  test("wakes a parent by the end of its child, once, and leaves one alone that does not wait", async () => {
    const { children, claims, signals } = subject.log;
    const parent = await begin({ owner });
    const [child, detached] = [
      await beginChild(parent, "2#1#child"),
      await beginChild(parent, "3#1#child", "DETACHED"),
    ];
    const sleep = { ...claimOf(parent, owner, 1), ms: 60_000, wakeTime: 7, awaits: ["2#1#child"] };
    expect(await claims.suspend(sleep)).toBe(true);
    const claimed = await claims.claim({ owner: other, shares: [{ ...parent, count: 100 }] });
    const finish = async (execution: NewExecution) => {
      const { epoch = 0 } = claimed.find(({ id }) => id === execution.id) ?? {};
      const end = { ...claimOf(execution, other, epoch), outcome: completed };
      return [await children.finish(end), await children.finish({ ...end, owner })];
    };
    expect(await finish(detached)).toEqual([{ stopped: [] }, expect.anything()]);
    expect(await claim(parent, other)).toBeUndefined();
    expect(await finish(child)).toEqual([{ stopped: [], parentId: parent.id }, expect.anything()]);
    expect(await claim(parent, other)).toMatchObject({ epoch: 2 });
    expect(await signals.read({ ...claimOf(parent, other, 2), name: "2#1#child" })).toEqual({ value: "ended" });
    expect((await subject.log.executions.listEnded([child.id])).outcomes.get(child.id)).toEqual(completed);
  });

  test("stops with an execution what it waits for, down to the last, and nothing else", async () => {
    const { children, executions } = subject.log;
    const parent = await begin({ owner });
    const [child, detached] = [
      await beginChild(parent, "2#1#child"),
      await beginChild(parent, "3#1#child", "DETACHED"),
    ];
    const { epoch = 0 } = (await claim(child, owner)) ?? {};
    expect(epoch).toBe(1);
    const grandchild = await beginChild(child, "2#1#child", "SYNC");
    const ended = await executions.stop({ ...parent, executionId: parent.id, outcome: stopped });
    expect([...(ended?.stopped ?? [])].sort()).toEqual([child.id, grandchild.id].sort());
    const { outcomes } = await executions.listEnded([parent.id, child.id, grandchild.id, detached.id]);
    expect(new Set([...outcomes.values()].map(({ state }) => state))).toEqual(new Set(["STOPPED"]));
    expect(outcomes.has(detached.id)).toBe(false);
    // Its owner learns it by its next write.
    expect(await children.finish({ ...claimOf(child, owner, 1), outcome: completed })).toBeUndefined();
  });

  test("bounds how deep executions wait for one another", async () => {
    let parent = await begin({ owner });
    for (let depth = 0; depth < 20; depth += 1) {
      parent = await beginChild(parent, "2#1#child");
      await claim(parent, owner);
    }
    expect(await subject.log.children.begin(childOf(parent, "2#1#child"))).toBe("too_deep");
    await beginChild(parent, "2#1#child", "DETACHED");
  });
});
