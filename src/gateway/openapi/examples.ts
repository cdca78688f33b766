import type { JsonObject } from "@bufbuild/protobuf";

/** An example of a call over REST: what its parameters and its body are, and what is answered. */
export type Example = {
  readonly parameters?: JsonObject;
  readonly body?: JsonObject;
  readonly reply?: JsonObject;
};

/** By the method's name. */
export type Examples = Readonly<Record<string, Example>>;
