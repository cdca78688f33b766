import type { JsonObject, Message } from "@bufbuild/protobuf";

/** What REST answers where it is not 200 and the whole message. */
export type RestReply = {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: RestBody;
};

/** A message of the method's reply type, or an answer that looks like a refusal. */
type RestBody =
  | { readonly kind: "message"; readonly message: Message }
  | { readonly kind: "error"; readonly error: ErrorBody };

/** What an error envelope says; `members` stand beside its own. */
export type ErrorBody = {
  readonly error_code: string;
  readonly message: string;
  readonly members?: JsonObject;
};

export type ReplyRule = (message: Message) => RestReply;

/** How a reply message becomes REST, by the message's type name. */
export type ReplyTable = ReadonlyMap<string, ReplyRule>;

/** A message without a rule is a whole body under 200. */
export function restReply(message: Message, table: ReplyTable): RestReply {
  const rule = table.get(message.$typeName);
  return rule === undefined ? { status: 200, body: { kind: "message", message } } : rule(message);
}
