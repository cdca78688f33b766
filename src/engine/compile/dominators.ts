import { errorPort } from "../../domain/execution.ts";
import type { Node, WorkflowDefinition } from "../../gen/flowcall/v1/definition_pb.ts";
import { hasErrorPort, isInnerPort, portsOf } from "./check-structure.ts";
import { finishesBranches } from "./link-graph.ts";
import type { SubgraphPlan } from "./plan-subgraphs.ts";

/** A set of nodes as a bit set, with one bit for each node. */
type Bits = bigint;

/** A node in the dominator tree, in which each node knows its immediate dominator. */
type Dominator = {
  /** The node's index in the topological order of its subgraph. */
  readonly index: number;
  readonly immediate: Dominator | undefined;
  /** The node and all its dominators. */
  readonly all: Bits;
  /** The nodes that run whenever the node and its dominators run. */
  readonly runs: Bits;
};

/**
 * Finds templates that may read a node before it has run, by the dominators of each node: the nodes on every path to it.
 *
 * The algorithm is that of Cooper, Harvey and Kennedy ("A Simple, Fast Dominance Algorithm", 2001). A subgraph is acyclic and
 * its nodes are in topological order, so one pass finds the dominators; it takes O(edges × depth of the dominator tree). A
 * node A counts as run before B if A leads to B and runs whenever some dominator of B runs. The result is conservative: it may
 * cause a warning too many, never one too few.
 */
export class Dominators {
  readonly #finishesBranches: boolean;
  readonly #bits: ReadonlyMap<string, Bits>;
  readonly #ancestors = new Map<string, Bits>();
  readonly #runBefore = new Map<string, Bits>();
  /** The nodes that may have failed: a path leads from their port `error` to the node. */
  readonly #failedBefore = new Map<string, Bits>();
  readonly #runAtEnd = new Map<SubgraphPlan, Bits>();

  /** @param plans each after the one that holds its Group */
  constructor(plans: readonly SubgraphPlan[], definition: Pick<WorkflowDefinition, "onFailure">) {
    this.#finishesBranches = finishesBranches(definition);
    const nodes = plans.flatMap((plan) => plan.nodes);
    this.#bits = new Map(nodes.map((node, index) => [node.id, 1n << BigInt(index)]));
    for (const plan of plans) {
      this.#analyse(plan);
    }
  }

  /**
   * Whether `other` has run whenever `node` runs. Inside of a Group, the Group counts as run: it gives the item; behind `catch`
   * the Try & Catch: it gives the error.
   */
  hasRunBefore(node: Node, other: string): boolean {
    return ((this.#runBefore.get(node.id) ?? 0n) & this.#bit(other)) !== 0n;
  }

  /** Whether `other` has run whenever the subgraph has come to its end. */
  hasRunAtEnd(plan: SubgraphPlan, other: string): boolean {
    return ((this.#runAtEnd.get(plan) ?? 0n) & this.#bit(other)) !== 0n;
  }

  /** Whether `other` leads to `node`, in the same subgraph. */
  isAncestor(node: Node, other: string): boolean {
    return ((this.#ancestors.get(node.id) ?? 0n) & this.#bit(other)) !== 0n;
  }

  #analyse(plan: SubgraphPlan): void {
    const implied = this.#impliedRuns(plan);
    const incoming = Map.groupBy(plan.links, (link) => link.target);
    const dominators = new Map<Node, Dominator>();
    const entryRuns = union(plan.entries.map((entry) => implied.get(entry.id)));
    const { group, port } = plan;
    // Behind `try` the node itself gives nothing yet.
    const ofGroup = group === undefined || port === "try" ? 0n : this.#bit(group.id);
    const outside = group === undefined ? 0n : (this.#runBefore.get(group.id) ?? 0n) | ofGroup;
    for (const [index, node] of plan.nodes.entries()) {
      const sources = (incoming.get(node) ?? []).map((link) => link.source);
      const immediate = plan.entries.includes(node)
        ? undefined
        : intersect(sources.map((each) => dominators.get(each)));
      const { all: common, runs } = immediate ?? { all: 0n, runs: 0n };
      dominators.set(node, {
        index,
        immediate,
        all: common | this.#bit(node.id),
        runs: runs | (implied.get(node.id) ?? 0n),
      });
      const ancestors = union(sources.flatMap(({ id }) => [this.#bit(id), this.#ancestors.get(id)]));
      this.#ancestors.set(node.id, ancestors);
      const failed = union(
        (incoming.get(node) ?? []).flatMap(({ source: { id }, port }) => [
          this.#failedBefore.get(id),
          port === errorPort ? this.#bit(id) : 0n,
        ]),
      );
      this.#failedBefore.set(node.id, failed);
      // Where branches finish beside a failed node, any node but a dominator may have failed.
      const run = this.#finishesBranches ? common : ancestors & (entryRuns | runs | common);
      this.#runBefore.set(node.id, (run & ~failed) | outside);
    }
    this.#runAtEnd.set(plan, entryRuns | outside);
  }

  /** For each node, the nodes that run whenever it runs: itself too, unless it may fail and its branch go on. */
  #impliedRuns(plan: SubgraphPlan): ReadonlyMap<string, Bits> {
    const outgoing = Map.groupBy(plan.links, (link) => link.source);
    const implied = new Map<string, Bits>();
    for (const node of plan.nodes.toReversed()) {
      const following = (port: string) => {
        const links = (outgoing.get(node) ?? []).filter((link) => link.port === port);
        return union(links.map((link) => implied.get(link.target.id)));
      };
      let runs: Bits;
      if (node.kind.case === "rule" || node.kind.case === "switch" || hasErrorPort(node)) {
        const ways = portsOf(node).filter((port) => !isInnerPort(port));
        runs = ways.map(following).reduce((all, way) => all & way);
      } else {
        // Nodes after a Terminate run only where it is skipped.
        runs = node.kind.case === "terminate" ? 0n : following("next");
      }
      implied.set(node.id, hasErrorPort(node) ? runs : runs | this.#bit(node.id));
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

/** The nearest common dominator of these nodes: `intersect` of the paper, which walks up the tree from both nodes. */
function intersect([first, ...others]: readonly (Dominator | undefined)[]): Dominator | undefined {
  return others.reduce((one, other) => {
    let [left, right] = [one, other];
    while (left !== undefined && right !== undefined && left !== right) {
      if (left.index > right.index) {
        left = left.immediate;
      } else {
        right = right.immediate;
      }
    }
    return left === right ? left : undefined;
  }, first);
}
