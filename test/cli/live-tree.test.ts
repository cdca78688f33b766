import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { LiveTree } from "../../src/cli/execution/live-tree.ts";
import { Output } from "../../src/cli/output/output.ts";
import { ExecutionEventSchema, NodeRun_State as State } from "../../src/gen/flowcall/v1/execution_pb.ts";

type Fact = NonNullable<MessageInitShape<typeof ExecutionEventSchema>["fact"]>;

/** What the terminal shows after these facts. */
function shown(facts: readonly Fact[]): string {
  const drawn: string[] = [];
  const stdout = { write: (text: string) => drawn.push(text), isTTY: true, rows: 24, columns: 100 };
  const output = new Output({ format: "text", stdout, stderr: stdout, environment: { NO_COLOR: "1" } });
  const tree = new LiveTree(output);
  for (const fact of facts) {
    tree.show(create(ExecutionEventSchema, { fact }));
  }
  return (drawn.at(-1) ?? "").slice((drawn.at(-1) ?? "").indexOf("J") + 1);
}

function waiting(path: string): Fact {
  const waitEndTime = timestampFromMs(0);
  return { case: "nodeStarted", value: { path, name: "Pause", state: State.WAITING, waitEndTime } };
}

function done(path: string, kind: "nodeFinished" | "iterationFinished" = "nodeFinished"): Fact {
  const time = timestampFromMs(0);
  return { case: kind, value: { path, name: "Pause", state: State.SUCCESS, startTime: time, endTime: time } };
}

test("what is under way inside of a Group is drawn below it until it ends, a few at the most", () => {
  const begun = [0, 1].map((index) => waiting(`g[${index}]/p`));
  const text = shown(begun);
  expect(text).toContain("g[0]/p  Pause  WAITING  until 1970");
  expect(text).toContain("g[1]/p");
  const ended = shown([...begun, done("g[0]/p"), done("g[1]", "iterationFinished")]);
  expect(ended).not.toContain("/p");
  expect(ended).toContain("1 iterations");
  const many = Array.from({ length: 9 }, (_, index) => waiting(`g[${index}]/p`));
  expect(shown(many)).toMatch(/g\[4\]\/p[^\n]*\n *… 4 more under way/);
});
