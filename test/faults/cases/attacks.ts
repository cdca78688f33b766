import assert from "node:assert/strict";
import type { Measured } from "../../../bench/attack/measure.ts";
import { type Attacked, attack } from "../attacked.ts";
import type { Composition } from "../composed-server.ts";
import type { FaultCase } from "../fault-case.ts";

type AttackCase = {
  readonly id: string;
  readonly title: string;
  readonly attacks: readonly string[];
  /** Fewer of them, where their plain volume takes more of a machine than a sample may. */
  readonly sampleAttacks?: readonly string[];
  /** What the attackers themselves notice, where something does not hold. */
  readonly fact?: (measured: Measured) => string | undefined;
  /** How long the attack lasts, in a full run and in a sample. */
  readonly seconds: readonly [number, number];
  /** Which part of its size the attack has in a sample. */
  readonly sampleScale?: number;
  readonly sampleEnvironment?: Attacked["environment"];
  readonly processes?: number;
  /** A service without what it is protected by, and what then does not hold. */
  readonly mutant: Composition;
  readonly breach: RegExp;
  /** How long the others' executions have to end then, where the breach is that they do not. */
  readonly controlDrainSeconds?: number;
};

/** A service that counts requests, and not their bytes. */
const unboundedBytes: Composition = {
  serverLimits: { bodyBytesMax: 1024 ** 4, keyBodyBytesMax: 1024 ** 4, connectionBodyBytesMax: 1024 ** 4 },
};

export const anonymousStreams = attackCase({
  id: "D1",
  title: "streams that need no key: questions without a pause, unfinished messages, watches",
  attacks: ["1", "2", "3b"],
  sampleAttacks: ["2", "3b"],
  seconds: [20, 4],
  // A message that is too long ends its stream at once, long before its last bytes.
  fact: ({ counts }) => ((counts["streams ended"] ?? 0) > 0 ? undefined : "unfinished messages are held"),
  mutant: {
    limits: { openMessageBytesMax: 4 * 1024 ** 2 },
    serverLimits: {
      ...{ openStreamsMax: 1_000_000, openStreamsPerAddressMax: 1_000_000 },
      ...{ keylessRequestsMax: 1_000_000, keylessRequestsPerAddressMax: 1_000_000 },
    },
  },
  breach: /held/,
});

export const hangingAccounts = attackCase({
  id: "D2",
  title: "300 linked accounts of one organisation call an API that never answers",
  attacks: ["11"],
  seconds: [20, 6],
  sampleScale: 80 / 300,
  sampleEnvironment: { FLOWCALL_SLOTS: "64" },
  fact: ({ during }) => (during.lost.length < during.times.length ? undefined : "most calls get no answer"),
  mutant: { mutant: "slots-in-order" },
  breach: /most calls/,
});

export const hugeJournal = attackCase({
  id: "D3",
  title: "a journal of 3 GB that is due, beside Delays of others",
  attacks: ["9", "24"],
  sampleAttacks: ["9"],
  seconds: [30, 3],
  // Still more than an execution may record.
  sampleScale: 1 / 50,
  mutant: { mutant: "journals-in-one" },
  controlDrainSeconds: 8,
  breach: /have not ended/,
});

export const manyRecords = attackCase({
  id: "D4",
  title: "a Group that records 10 GB, called once",
  attacks: ["8"],
  seconds: [30, 5],
  sampleEnvironment: { FLOWCALL_RECORDS_BYTES: String(4 * 1024 ** 2) },
  fact: ({ counts }) => ((counts["records refused"] ?? 0) > 0 ? undefined : "the execution goes on recording"),
  mutant: { limits: { recordsBytesMax: 1024 ** 4, recordsMemoryBytesMax: 1024 ** 4 } },
  breach: /goes on recording|RSS|ended by/,
});

export const endlessQuery = attackCase({
  id: "D5",
  title: "a query that compares 2^60 values is called once, and others beside it",
  attacks: ["7", "7b"],
  sampleAttacks: ["7"],
  seconds: [20, 3],
  mutant: { mutant: "tasks-in-line" },
  breach: /no call was answered|p99/,
});

export const endlessTexts = attackCase({
  id: "D6",
  title: "5,000 templates of 1 MB in one text",
  attacks: ["10"],
  seconds: [20, 2],
  // To check so many takes its time on a machine that is busy.
  sampleEnvironment: { FLOWCALL_QUERY_MS: "60000" },
  mutant: { mutant: "texts-without-end" },
  breach: /RSS|ended by/,
});

export const unreadReplies = attackCase({
  id: "D7",
  title: "6,400 replies of 1 MB are asked for at once, and never read",
  attacks: ["13d"],
  seconds: [12, 2],
  sampleScale: 1 / 10,
  // A key may hold 64 MiB.
  fact: ({ counts: { "stream 200": held = 0 } }) => (held <= 67 ? undefined : `${held} replies of 1 MB are held`),
  mutant: unboundedBytes,
  breach: /are held/,
});

export const unfinishedBodies = attackCase({
  id: "D8",
  title: "2 GB of bodies that never end, with one key",
  attacks: ["14"],
  seconds: [12, 4],
  sampleScale: 1 / 8,
  // So much comes in a second or two, however busy the machine is.
  sampleEnvironment: { FLOWCALL_KEY_BODY_BYTES: String(8 * 1024 ** 2) },
  fact: ({ counts }) => ((counts["grpc 8"] ?? 0) > 0 ? undefined : "bodies without an end are all held"),
  mutant: unboundedBytes,
  breach: /RSS|ended by|all held/,
});

/**
 * Others notice nothing of an attack; where what protects them is taken away, they do, and the case sees it: in a full
 * run, since that costs as much again.
 */
function attackCase(options: AttackCase): FaultCase {
  const { id, title, mutant, breach, fact, processes = 1, controlDrainSeconds = 0, ...sizes } = options;
  return {
    id,
    title,
    besides: 1,
    run: async (run) => {
      const isFull = run.size === "full";
      const [fullSeconds, sampleSeconds] = sizes.seconds;
      const sized = {
        processes,
        attacks: isFull ? sizes.attacks : (sizes.sampleAttacks ?? sizes.attacks),
        seconds: isFull ? fullSeconds : sampleSeconds,
        scale: isFull ? 1 : (sizes.sampleScale ?? 1),
        environment: isFull ? {} : (sizes.sampleEnvironment ?? {}),
      };
      const factsOf = (measured: Measured) => fact?.(measured) ?? [];
      const { measured, breaches, figures } = await attack(run, sized);
      const suffered = breaches.concat(factsOf(measured));
      const holds = () => assert.deepEqual(suffered, [], "another organisation, or the process, suffers from it");
      if (!isFull) {
        holds();
        return figures;
      }
      const control = await attack(run, {
        ...sized,
        composition: mutant,
        drainSeconds: controlDrainSeconds,
      });
      const seen = control.breaches.concat(factsOf(control.measured));
      const caught = seen.filter((each) => breach.test(each));
      assert.ok(caught.length > 0, `a service without its protection is not caught: ${seen.join("; ")}`);
      run.say(`without its protection: ${caught.join("; ")}`);
      holds();
      return { ...figures, mutant: caught.map((each) => each.slice(0, 60)).join("; ") };
    },
  };
}
