import type { Agent } from "undici";
import type { UnreadAnswer } from "./answer-body.ts";
import type { CallDeadline } from "./call-deadline.ts";
import { answerHeaderBytesMax, type EnvironmentAgents } from "./environment-agents.ts";
import { HttpFailure } from "./http-failure.ts";
import type { Hop, HttpRequest } from "./http-request.ts";
import { IncomingAnswer } from "./incoming-answer.ts";
import { sentHeaders } from "./request-headers.ts";

export type Sender = {
  readonly agents: EnvironmentAgents;
  readonly request: Pick<HttpRequest, "environmentId" | "isRepeatable" | "chain">;
  readonly deadline: CallDeadline;
  /** Called before the first byte of a request is sent. */
  readonly onSend: () => void;
};

/**
 * Sends one request and waits for the head of its answer. A repeatable request is sent again where a keep-alive connection turns
 * out to be closed (RFC 9112, section 9.3.1). Rejects with any error; `failureOf` makes an HttpFailure of it.
 */
export async function sendHop(hop: Hop, { agents, request, deadline, onSend }: Sender): Promise<UnreadAnswer> {
  const { environmentId, isRepeatable = false, chain } = request;
  for (;;) {
    const answer = new IncomingAnswer(deadline, onSend);
    try {
      if (deadline.failure === undefined) {
        dispatch(agents.agentOf(environmentId), { hop, chain }, answer);
      }
      return await answer.head;
    } catch (error) {
      // The loop ends, because each turn uses up one keep-alive connection.
      if (!isRepeatable || !answer.isReused || !brokenCodes.has(codeOf(error))) {
        throw error;
      }
    }
  }
}

type Sent = { readonly hop: Hop; readonly chain: string | undefined };

function dispatch(agent: Agent, { hop, chain }: Sent, answer: IncomingAnswer): void {
  const request = {
    origin: hop.url.origin,
    path: hop.url.pathname + hop.url.search,
    method: hop.method,
    headers: sentHeaders(hop.headers, chain),
    body: hop.body ?? null,
  };
  agent.dispatch(request, answer);
}

/** Explains an error of a call to its author. `host` is that of the URL. */
export function failureOf(error: unknown, { host }: { host: string }): HttpFailure {
  if (error instanceof HttpFailure) {
    return error;
  }
  const code = codeOf(error);
  if (code === "UND_ERR_HEADERS_OVERFLOW") {
    return new HttpFailure(
      "ANSWER_TOO_LARGE",
      `The headers of the answer are larger than ${answerHeaderBytesMax} bytes. Have the server send fewer.`,
      { isDefinite: true, limit: { name: "answer_header_bytes", value: answerHeaderBytesMax }, cause: error },
    );
  }
  const message = `${JSON.stringify(host)} ${explanationOf(code)}`;
  return new HttpFailure("CONNECTION_FAILED", message, { cause: error });
}

function explanationOf(code: string): string {
  if (brokenCodes.has(code)) {
    return "closed the connection before its answer was complete. Try again.";
  }
  const known = explanations.get(code);
  if (known !== undefined) {
    return known;
  }
  if (/^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|HOSTNAME_MISMATCH)|^EPROTO$/.test(code)) {
    return `cannot be trusted over TLS (${code}). Check its certificate and the URL's scheme and port.`;
  }
  if (/^(HPE_|UND_ERR_RES_|Z_|ERR_BROTLI|ERR__ERROR|ERR_PADDING)/.test(code)) {
    return `sent an answer that breaks the rules of HTTP (${code}). Check the URL's scheme and port.`;
  }
  return `could not be called (${code}). Try again, or check the URL.`;
}

/** The codes of a connection that broke. */
const brokenCodes: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"]);

const explanations: ReadonlyMap<string, string> = new Map([
  ["ABORT_ERR", "did not accept a connection in time. Try again, or check the URL."],
  ["EAI_AGAIN", "could not be looked up for now. Try again."],
  ["ECONNREFUSED", "refused the connection. Check the URL's port."],
  ["ENOTFOUND", "could not be found. Check the URL's host."],
  ["ETIMEDOUT", "did not accept a connection in time. Try again, or check the URL."],
  ["UND_ERR_MAX_ORIGINS_REACHED", "is one host more than may be called at a time. Call fewer hosts at once."],
]);

/** Codes are UPPER_SNAKE constants of Node, OpenSSL and undici. Anything else is kept out of messages. */
function codeOf(error: unknown): string {
  if (error instanceof Error && error.name === "TimeoutError") {
    return "ETIMEDOUT";
  }
  // undici's parser sets no code where the answer is not HTTP at all.
  if (error instanceof Error && error.name === "HTTPParserError") {
    return "HPE_INVALID";
  }
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" && /^[A-Z0-9_]{1,64}$/.test(code) ? code : "UNKNOWN";
}
