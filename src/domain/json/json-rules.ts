import type { JsonLimits, Limits } from "../limits.ts";

/** What one JSON value has to keep to, and what it is called when it does not. */
export type JsonRules = {
  /** Where paths start: `payload` gives `payload.items[3]`. Empty for a whole message, whose paths start at its fields. */
  readonly name: string;
  readonly limits: JsonLimits;
  /** Set where nothing but an object may stand at the root. */
  readonly root?: "object";
};

/** Containers that a message may put around a value: the value lies at most four messages deep, each in a list. */
const messageContainersMax = 8;

/**
 * Rules for the JSON text of a whole RPC message, which is read before its fields are told apart. They leave room for
 * the largest value that the message may hold; that value is then held to its own rules with `jsonTextOf`.
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
