// Sends a call and shows what comes, as it comes: some replies are events that go on for long.

import { parsed } from "./call.js";
import { make } from "./dom.js";

const shownHeaders = ["x-request-id", "x-execution-id", "x-execution-status", "location", "retry-after"];

/** Answers the JSON of the reply, where it is JSON. */
export async function send({ url, method, headers, body }, { key, output, signal }) {
  const begun = performance.now();
  output.removeAttribute("data-status");
  output.replaceChildren("…");
  try {
    const sent = { ...headers, "x-api-key": key };
    const reply = await fetch(url, { method, headers: sent, signal, ...(body !== undefined && { body }) });
    const shown = shownHeaders.flatMap((name) =>
      reply.headers.has(name) ? [`${name}: ${reply.headers.get(name)}`] : [],
    );
    const head = [`${reply.status} after ${Math.round(performance.now() - begun)} ms`, ...shown].join("\n");
    const parts = reply.body?.pipeThrough(new TextDecoderStream()) ?? [];
    if (reply.headers.get("content-type")?.startsWith("text/event-stream")) {
      await showEvents(head, parts, output);
      return undefined;
    }
    let text = "";
    for await (const part of parts) {
      text += part;
    }
    const value = parsed(text);
    output.replaceChildren(`${head}\n\n${value === undefined ? text : JSON.stringify(value, null, 2)}`);
    output.dataset.status = reply.status;
    return value;
  } catch (error) {
    if (signal.aborted) {
      output.append("\n(left)");
    } else {
      output.replaceChildren(`The call did not reach the server: ${error}`);
    }
    return undefined;
  }
}

/** A line for each event, which unfolds what it says. */
async function showEvents(head, parts, output) {
  const list = make("ol", { class: "events" });
  output.replaceChildren(head, list);
  let rest = "";
  for await (const part of parts) {
    rest += part;
    const blocks = rest.split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const event = eventOf(block);
      if (event !== undefined) {
        list.append(eventRow(event));
      }
    }
  }
  output.append(make("p", { class: "dim" }, "The stream has ended."));
  output.dataset.status = "200";
}

/** Undefined for a comment, which shows that the stream goes on. */
function eventOf(block) {
  const fields = block.split("\n").map((line) => /^(\w+): ?(.*)$/.exec(line) ?? []);
  const all = (name) => fields.filter(([, key]) => key === name).map(([, , value]) => value);
  const data = all("data").join("\n");
  return data === "" ? undefined : { type: all("event")[0] ?? "message", data: parsed(data) ?? data };
}

function eventRow({ type, data }) {
  const fact = data[type] ?? data;
  const words = [fact.path, fact.name, fact.state, durationOf(fact), fact.error?.message ?? fact.message];
  const text = words.filter((word) => word !== undefined && word !== "").join("  ");
  const summary = make("summary", {}, make("code", {}, type), ` ${text}`);
  return make("li", {}, make("details", {}, summary, JSON.stringify(data, null, 2)));
}

function durationOf({ start_time: start, end_time: end }) {
  if (start === undefined || end === undefined) {
    return undefined;
  }
  return `${Date.parse(end) - Date.parse(start)} ms`;
}
