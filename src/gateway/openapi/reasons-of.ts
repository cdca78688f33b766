import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { type Reason, reasons } from "../../domain/reason.ts";
import { refusals } from "../../gen/flowcall/v1/options_pb.ts";
import type { HttpBinding } from "../http-binding.ts";

/** The reasons for which a call of any method may be refused. */
const ofAnyCall: readonly Reason[] = [
  "VALIDATION_ERROR",
  "MALFORMED_REQUEST",
  "MISSING_API_KEY",
  "INVALID_API_KEY",
  "SCOPE_MISSING",
  "REQUEST_TIMEOUT",
  "TOO_MANY_REQUESTS",
  "HEADERS_TOO_LARGE",
  "UNSUPPORTED_MEDIA_TYPE",
  "ENCODING_UNDECLARED",
  "SERVER_ERROR",
  "KEY_LOOKUPS_FULL",
  "SERVER_BUSY",
  "DATABASE_UNAVAILABLE",
  "SHUTTING_DOWN",
];

/** The reasons for which a body is refused before the method is called. */
const ofAnyBody: readonly Reason[] = ["INVALID_JSON", "PAYLOAD_TOO_DEEP", "PAYLOAD_TOO_LARGE"];

const ofWatchTokens: readonly Reason[] = ["INVALID_WATCH_TOKEN", "TOKEN_EXPIRED"];

/** The reasons of a method: its own, which its proto declares, and those of all calls like it. */
export type MethodReasons = { readonly own: readonly Reason[]; readonly general: readonly Reason[] };

export function reasonsOf({ method, body, takesWatchToken }: HttpBinding): MethodReasons {
  return {
    own: declaredReasons(method),
    general: [...ofAnyCall, ...(body === "" ? [] : ofAnyBody), ...(takesWatchToken ? ofWatchTokens : [])],
  };
}

function declaredReasons(method: DescMethod): readonly Reason[] {
  return getOption(method, refusals).reasons.map((name) => {
    if (!isReason(name)) {
      throw new Error(`${method.name} declares a refusal ${name}, which there is not`);
    }
    return name;
  });
}

function isReason(name: string): name is Reason {
  return Object.hasOwn(reasons, name);
}
