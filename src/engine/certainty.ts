import type { LevelPlan } from "./levels.ts";

/**
 * Says which nodes are certain to have run before another one runs.
 *
 * A node A is certain before B when B waits for A, and A runs whenever some node runs that every way to B goes through.
 * This errs to the side of a warning too many.
 */
export class Certainty {
  readonly #before = new Map<string, ReadonlySet<string>>();
  readonly #inLevel = new Map<LevelPlan, ReadonlySet<string>>();
  readonly #ancestors = new Map<string, ReadonlySet<string>>();

  constructor(plans: readonly LevelPlan[]) {
    for (const plan of plans) {
      this.#learn(plan);
    }
  }

  /** The ids that have run whenever this node runs. Inside a Group the Group counts: it gives the item. */
  before(nodeId: string): ReadonlySet<string> {
    return this.#before.get(nodeId) ?? new Set();
  }

  /** The ids that have run whenever this level has come to its end. */
  atEnd(plan: LevelPlan): ReadonlySet<string> {
    return unionOf([this.#inLevel.get(plan), this.#outside(plan)]);
  }

  /** The ids of the same level that lead to this node. */
  ancestors(nodeId: string): ReadonlySet<string> {
    return this.#ancestors.get(nodeId) ?? new Set();
  }

  #learn(plan: LevelPlan): void {
    const implied = impliedRuns(plan);
    const incoming = Map.groupBy(plan.links, (link) => link.target);
    const dominators = new Map<string, ReadonlySet<string>>();
    const entryRuns = unionOf(plan.entries.map((entry) => implied.get(entry.id)));
    const outside = this.#outside(plan);
    for (const node of plan.nodes) {
      const sources = (incoming.get(node) ?? []).map((link) => link.source.id);
      const isEntry = plan.entries.includes(node);
      const common = isEntry ? new Set<string>() : intersectionOf(sources.map((source) => dominators.get(source)));
      dominators.set(node.id, unionOf([common, [node.id]]));
      const ancestors = unionOf([sources, ...sources.map((source) => this.ancestors(source))]);
      this.#ancestors.set(node.id, ancestors);
      const runs = new Set(entryRuns);
      for (const { id } of plan.nodes) {
        // What follows from a node follows from what that node follows from, so one look at each is enough.
        if (common.has(id) && !runs.has(id)) {
          addAll(runs, implied.get(id));
        }
      }
      this.#before.set(node.id, unionOf([[...ancestors].filter((id) => runs.has(id)), outside]));
    }
    this.#inLevel.set(plan, entryRuns);
  }

  #outside(plan: LevelPlan): ReadonlySet<string> {
    return plan.group === undefined ? new Set() : unionOf([this.before(plan.group.id), [plan.group.id]]);
  }
}

/** For each node the nodes that run whenever it does, itself included. */
function impliedRuns(plan: LevelPlan): ReadonlyMap<string, ReadonlySet<string>> {
  const outgoing = Map.groupBy(plan.links, (link) => link.source);
  const implied = new Map<string, ReadonlySet<string>>();
  for (const node of plan.nodes.toReversed()) {
    const behind = (port: string) => {
      const links = (outgoing.get(node) ?? []).filter((link) => link.port === port);
      return unionOf(links.map((link) => implied.get(link.target.id)));
    };
    let following: ReadonlySet<string>;
    if (node.kind.case === "rule") {
      following = intersectionOf([behind("true"), behind("false")]);
    } else {
      // Behind a Terminate nodes run only where it is skipped.
      following = node.kind.case === "terminate" ? new Set() : behind("next");
    }
    implied.set(node.id, unionOf([following, [node.id]]));
  }
  return implied;
}

function unionOf(parts: readonly (Iterable<string> | undefined)[]): Set<string> {
  const all = new Set<string>();
  for (const part of parts) {
    addAll(all, part);
  }
  return all;
}

function addAll(set: Set<string>, ids: Iterable<string> = []): void {
  for (const id of ids) {
    set.add(id);
  }
}

function intersectionOf(sets: readonly (ReadonlySet<string> | undefined)[]): ReadonlySet<string> {
  const [first, ...others] = sets;
  return new Set([...(first ?? [])].filter((id) => others.every((set) => set?.has(id) ?? false)));
}
