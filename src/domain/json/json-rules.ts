import type { JsonLimits, Limits } from "../limits.ts";

/** The rules for one JSON value, and its name in refusals. */
export type JsonRules = {
  /** The start of paths: `payload` gives `payload.items[3]`. Empty for a whole message, whose paths start at its fields. */
  readonly name: string;
  readonly limits: JsonLimits;
  /** Set where the root has to be an object. */
  readonly root?: "object";
};

/** Containers that a message may put around a value: the value lies at most four messages deep, each in a list. */
const messageContainersMax = 8;

/**
 * The rules for the JSON text of a whole RPC message, which is scanned before its fields are known. They leave room for the
 * largest value that the message may hold; `jsonTextOf` then checks that value by its own rules.
 */
export function messageRules(limits: Limits): JsonRules {
  const { payload, output } = limits;
  return {
    name: "",
    root: "object",
    limits: {
      bytesMax: limits.transportBytesMax,
      valuesMax: 2 * Math.max(payload.valuesMax, output.valuesMax),
      depthMax: messageContainersMax + Math.max(payload.depthMax, output.depthMax),
      keysMax: Math.max(payload.keysMax, output.keysMax),
    },
  };
}
