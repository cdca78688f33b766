import type { JsonObject } from "@bufbuild/protobuf";

/** An example of a call over REST: its parameters, its body and its reply. */
export type Example = {
  readonly parameters?: JsonObject;
  readonly body?: JsonObject;
  readonly reply?: JsonObject;
};

/** The examples by method name. */
export type Examples = Readonly<Record<string, Example>>;
