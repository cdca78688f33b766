import { type DescMessage, isMessage, type JsonValue, type Message, type MessageShape } from "@bufbuild/protobuf";
import type { FieldViolation } from "../../domain/request-error.ts";
import type { RestReply } from "../reply-table.ts";
import type { FormParts } from "./rest-form.ts";

/** The message as one of its type. Throws where it is another, which is a fault of the table of forms. */
export function asMessage<Desc extends DescMessage>(schema: Desc, message: Message): MessageShape<Desc> {
  if (!isMessage(message, schema)) {
    throw new Error(`${message.$typeName} is no ${schema.typeName}`);
  }
  return message;
}

/**
 * The linked account of a key that is restricted to one, where no header names any: such a key is what these clients call a
 * session token, which stands for an account.
 */
export function accountOfKey({ headers, principal }: FormParts["call"]): string | undefined {
  const isNamed = ["linked_account_id", "linked-account-id"].some((name) =>
    headers.get(name)?.some((text) => text !== ""),
  );
  const [account, ...others] = principal?.linkedAccountIds ?? [];
  return isNamed || others.length > 0 ? undefined : account;
}

export function unknownParameter(field: string, known: readonly string[]): FieldViolation {
  const taken = known.length === 0 ? "it takes none" : `it takes ${known.join(", ")}`;
  return { field, description: `is not a query parameter of this method; ${taken}` };
}

export function jsonReply(json: JsonValue): RestReply {
  return { status: 200, body: { kind: "json", text: JSON.stringify(json) } };
}
