import type { Node } from "../../gen/flowcall/v1/definition_pb.ts";
import type { BoundaryOptions } from "../run/boundary.ts";
import type { LevelPlan } from "./plan-subgraphs.ts";

/** A set of nodes, one bit for each. */
type Bits = bigint;

/** A node as one that every way to some other goes through. Those of one node are a chain, and so each knows the next. */
type Dominator = {
  /** Where it stands in its level, behind all that lead to it. */
  readonly index: number;
  readonly above: Dominator | undefined;
  /** Itself and all above. */
  readonly all: Bits;
  /** What runs whenever these do. */
  readonly runs: Bits;
};

/**
 * Says which nodes are certain to have run before another one runs.
 *
 * A node A is certain before B when B waits for A, and A runs whenever some node runs that every way to B goes through.
 * This errs to the side of a warning too many.
 */
export class Certainty {
  readonly #finishesBranches: boolean;
  readonly #bits: ReadonlyMap<string, Bits>;
  readonly #ancestors = new Map<string, Bits>();
  readonly #before = new Map<string, Bits>();
  readonly #atEnd = new Map<LevelPlan, Bits>();

  /**
   * @param plans each behind the one that its Group is in
   * @param options whether nodes run although others beside them failed
   */
  constructor(plans: readonly LevelPlan[], { finishesBranches }: BoundaryOptions) {
    this.#finishesBranches = finishesBranches;
    const nodes = plans.flatMap((plan) => plan.nodes);
    this.#bits = new Map(nodes.map((node, index) => [node.id, 1n << BigInt(index)]));
    for (const plan of plans) {
      this.#learn(plan);
    }
  }

  /** Whether `other` has run whenever `node` runs. Inside a Group the Group counts as run: it gives the item. */
  isBefore(node: Node, other: string): boolean {
    return ((this.#before.get(node.id) ?? 0n) & this.#bit(other)) !== 0n;
  }

  /** Whether `other` has run whenever the level has come to its end. */
  isAtEnd(plan: LevelPlan, other: string): boolean {
    return ((this.#atEnd.get(plan) ?? 0n) & this.#bit(other)) !== 0n;
  }

  /** Whether `other` leads to `node`, in the same level. */
  isAncestor(node: Node, other: string): boolean {
    return ((this.#ancestors.get(node.id) ?? 0n) & this.#bit(other)) !== 0n;
  }

  #learn(plan: LevelPlan): void {
    const implied = this.#impliedRuns(plan);
    const incoming = Map.groupBy(plan.links, (link) => link.target);
    const dominators = new Map<Node, Dominator>();
    const entryRuns = union(plan.entries.map((entry) => implied.get(entry.id)));
    const { group } = plan;
    const outside = group === undefined ? 0n : (this.#before.get(group.id) ?? 0n) | this.#bit(group.id);
    for (const [index, node] of plan.nodes.entries()) {
      const sources = (incoming.get(node) ?? []).map((link) => link.source);
      const above = plan.entries.includes(node)
        ? undefined
        : nearestShared(sources.map((each) => dominators.get(each)));
      const { all: common, runs } = above ?? { all: 0n, runs: 0n };
      dominators.set(node, {
        index,
        above,
        all: common | this.#bit(node.id),
        runs: runs | (implied.get(node.id) ?? 0n),
      });
      const ancestors = union(sources.flatMap(({ id }) => [this.#bit(id), this.#ancestors.get(id)]));
      this.#ancestors.set(node.id, ancestors);
      // A node beside which others run may have failed, but not one that every way here goes through.
      this.#before.set(node.id, (this.#finishesBranches ? common : ancestors & (entryRuns | runs)) | outside);
    }
    this.#atEnd.set(plan, entryRuns | outside);
  }

  /** For each node the nodes that run whenever it does, itself included. */
  #impliedRuns(plan: LevelPlan): ReadonlyMap<string, Bits> {
    const outgoing = Map.groupBy(plan.links, (link) => link.source);
    const implied = new Map<string, Bits>();
    for (const node of plan.nodes.toReversed()) {
      const behind = (port: string) => {
        const links = (outgoing.get(node) ?? []).filter((link) => link.port === port);
        return union(links.map((link) => implied.get(link.target.id)));
      };
      let following: Bits;
      if (node.kind.case === "rule") {
        following = behind("true") & behind("false");
      } else {
        // Behind a Terminate nodes run only where it is skipped.
        following = node.kind.case === "terminate" ? 0n : behind("next");
      }
      implied.set(node.id, following | this.#bit(node.id));
    }
    return implied;
  }

  #bit(id: string): Bits {
    return this.#bits.get(id) ?? 0n;
  }
}

function union(sets: readonly (Bits | undefined)[]): Bits {
  return sets.reduce<Bits>((all, set) => all | (set ?? 0n), 0n);
}

/** The last node that every way to each of these goes through, itself included. */
function nearestShared([first, ...others]: readonly (Dominator | undefined)[]): Dominator | undefined {
  return others.reduce((one, other) => {
    let [left, right] = [one, other];
    while (left !== undefined && right !== undefined && left !== right) {
      if (left.index > right.index) left = left.above;
      else right = right.above;
    }
    return left === right ? left : undefined;
  }, first);
}
