import assert from "node:assert/strict";
import { type Attacked, attack } from "../attacked.ts";
import type { Composition } from "../composed-server.ts";
import type { FaultCase } from "../fault-case.ts";

type AttackCase = {
  readonly id: string;
  readonly title: string;
  readonly attacks: readonly string[];
  /** How long the attack lasts, in a full run and in a sample. */
  readonly seconds: readonly [number, number];
  /** Which part of its size the attack has in a sample. */
  readonly sampleScale?: number;
  readonly sampleEnvironment?: Attacked["environment"];
  readonly processes?: number;
  /** A service without what it is protected by, and what then does not hold. */
  readonly mutant: Composition;
  readonly breach: RegExp;
};

export const anonymousStreams = attackCase({
  id: "D1",
  title: "streams that need no key: questions without a pause, unfinished messages, watches",
  attacks: ["1", "2", "3b"],
  seconds: [20, 4],
  mutant: {
    limits: { openMessageBytesMax: 4 * 1024 ** 2 },
    serverLimits: { openStreamsMax: 1_000_000, openStreamsPerAddressMax: 1_000_000 },
  },
  breach: /RSS|ended by/,
});

/** Others notice nothing of an attack; where what protects them is taken away, they do, and the case sees it. */
function attackCase({ id, title, attacks, mutant, breach, processes = 1, ...sizes }: AttackCase): FaultCase {
  return {
    id,
    title,
    run: async (run) => {
      const isFull = run.size === "full";
      const [fullSeconds, sampleSeconds] = sizes.seconds;
      const sized = {
        ...{ attacks, processes },
        seconds: isFull ? fullSeconds : sampleSeconds,
        scale: isFull ? 1 : (sizes.sampleScale ?? 1),
        environment: isFull ? {} : (sizes.sampleEnvironment ?? {}),
      };
      const { breaches, figures } = await attack(run, sized);
      assert.deepEqual(breaches, [], "another organisation, or the process, suffers from it");
      const control = await attack(run, { ...sized, composition: mutant });
      const caught = control.breaches.filter((each) => breach.test(each));
      assert.ok(caught.length > 0, `a service without its protection is not caught: ${control.breaches.join("; ")}`);
      run.say(`without its protection: ${caught.join("; ")}`);
      return { ...figures, mutant: caught.map((each) => each.slice(0, 60)).join("; ") };
    },
  };
}
