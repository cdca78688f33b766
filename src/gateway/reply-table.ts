import type { JsonObject, Message } from "@bufbuild/protobuf";

/** How a reply message looks over REST where it is not the whole body of a 200. */
export type RestReply = {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: RestBody;
};

/** A message of the method's reply type, JSON of another form, or an error envelope for a call that was answered. */
type RestBody =
  | { readonly kind: "message"; readonly message: Message }
  | { readonly kind: "json"; readonly text: string }
  | { readonly kind: "error"; readonly error: ErrorBody };

/** The content of an error envelope; `members` are added to its own. */
export type ErrorBody = {
  readonly error_code: string;
  readonly message: string;
  readonly members?: JsonObject;
};

export type ReplyRule = (message: Message) => RestReply;

/** The rules for reply messages that are not plain over REST, by type name. A message without a rule is the body of a 200. */
export type ReplyTable = ReadonlyMap<string, ReplyRule>;
