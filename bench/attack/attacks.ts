import type { Attack } from "./attack.ts";
import { bodies } from "./findings/bodies.ts";
import { definitionAttacks } from "./findings/definitions.ts";
import { journals } from "./findings/journals.ts";
import { memory } from "./findings/memory.ts";
import { openServices } from "./findings/open-services.ts";
import { payloads } from "./findings/payloads.ts";
import { queries } from "./findings/queries.ts";
import { shares } from "./findings/shares.ts";

/** All attacks, in the order of the findings. */
export const attacks: readonly Attack[] = [
  ...openServices,
  ...payloads,
  ...definitionAttacks,
  ...queries,
  ...memory,
  ...journals,
  ...shares,
  ...bodies,
].toSorted(byId);

export function findAttack(id: string): Attack {
  const found = attacks.find((attack) => attack.id === id);
  if (found === undefined) {
    throw new Error(`there is no attack ${id}`);
  }
  return found;
}

function byId(left: Attack, right: Attack): number {
  return Number.parseInt(left.id, 10) - Number.parseInt(right.id, 10) || left.id.localeCompare(right.id);
}
