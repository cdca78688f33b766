import type { JsonObject } from "@bufbuild/protobuf";
import type { Attacker } from "./attacker.ts";
import type { Tenant } from "./tenants.ts";

/** What an attack is prepared with, by somebody who is no attacker yet. */
export type Stage = {
  readonly tenant: Tenant;
  /** Changes the database at once as an attack would in minutes. */
  query(statement: string, values?: readonly unknown[]): Promise<readonly Record<string, unknown>[]>;
  /** How many attackers there will be. */
  readonly attackers: number;
  /** Which part of its size an attack has that is too large for a short test; 1 is the whole. */
  readonly scale: number;
};

/** One way to stop others, at the strength of one attacker. */
export type Attack = {
  /** The number of the finding, with a letter for a further member of its kind. */
  readonly id: string;
  readonly title: string;
  /** Whether it is plain volume, which fills a core by itself: others may wait longer then. */
  readonly isVolume?: true;
  /** Settings of the server that it is tried with, made of its defaults, where the whole would take too long. */
  environment?(limits: Readonly<Record<string, number>>): Readonly<Record<string, string>>;
  /** Publishes what is called, and answers what each attacker is told. */
  prepare?(stage: Stage): Promise<JsonObject>;
  /** Begins what the attackers cannot begin themselves, at the moment when they begin. */
  begin?(stage: Stage, given: JsonObject): Promise<void>;
  /** Ends when the attacker's signal aborts, or when it has done all. */
  run(attacker: Attacker): Promise<void>;
};
