import type { JsonObject, Message } from "@bufbuild/protobuf";
import type { Call } from "../../domain/http/call.ts";
import type { FieldViolation } from "../../domain/request-error.ts";
import type { QueryParameter } from "../query.ts";
import type { RestReply } from "../reply-table.ts";

/** How the requests and replies of one binding look, where its callers know another form than that of the messages. */
export type RestForm = {
  /** Sets the fields that this form has in the query or in headers of its own; the query is read by nothing else. */
  readonly fill: (request: Message, parts: FormParts) => readonly FieldViolation[];
  readonly reply: (answer: Message, request: Message) => RestReply;
  readonly documented: DocumentedForm;
};

/** What a form reads beside the path, the body and the headers that fields have. */
export type FormParts = {
  readonly query: readonly QueryParameter[];
  readonly call: Pick<Call, "headers" | "principal">;
};

/** A form in the OpenAPI document. */
export type DocumentedForm = {
  readonly operationId: string;
  readonly summary: string;
  /** Stands behind the description of the method. */
  readonly note: string;
  /** The parameters that the form adds; where it names one of the query, those of the message are not in the query. */
  readonly parameters: readonly JsonObject[];
  /** The responses but for refusals, by status. */
  readonly replies: JsonObject;
};
