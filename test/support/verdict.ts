import { Code } from "@connectrpc/connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { trailerParse } from "@connectrpc/connect/protocol-grpc-web";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.ts";
import { decodePieces, framesOf } from "./grpc-web.ts";
import type { HttpAnswer } from "./http-request.ts";

/** How a refusal is told: a code of the RPC protocols or a status of REST, and the reason. */
export type Verdict = { readonly code: string; readonly reason: string; readonly domain?: string };

/** The refusal in a reply of any protocol; undefined for a reply that is none. */
export function verdictOf({ status, headers, body }: HttpAnswer): Verdict | undefined {
  const type = headers.get("content-type") ?? "";
  if (type.startsWith("application/grpc")) {
    const frames = [...framesOf(type.includes("-text") ? decodePieces(body.toString()) : body)];
    const fields = headers.has("grpc-status") ? headers : trailerParse(frames.at(-1)?.data ?? body);
    const error = findTrailerError(fields);
    const [info] = error?.findDetails(ErrorInfoSchema) ?? [];
    return error && { code: Code[error.code], reason: info?.reason ?? "", domain: info?.domain ?? "" };
  }
  if (status < 400) {
    return undefined;
  }
  const reply = JSON.parse(body.toString());
  if ("error_code" in reply) {
    return { code: String(status), reason: reply.error_code };
  }
  const info = reply.details?.find((detail: { type: string }) => detail.type === "google.rpc.ErrorInfo");
  return { code: reply.code, reason: info?.debug.reason ?? "", domain: info?.debug.domain ?? "" };
}
