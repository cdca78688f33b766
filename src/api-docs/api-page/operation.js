// One method: what it does, a form for a call of it, the same call in other words, what comes back, and all that may.

import { choicesOf, resolved } from "./api.js";
import { callOf, samples } from "./call.js";
import { make, prose } from "./dom.js";
import { send } from "./reply.js";
import { schemaList } from "./schema.js";

/** What was filled in or answered last, by the name of the parameter: the next method is likely about the same. */
const remembered = new Map();
let language = "curl";

/** The parts of the page, and what is to be done when it is left. */
export function operationPage(operation, keyOf) {
  const leaving = new AbortController();
  const { verb, path, summary, description, parameters = [], requestBody, responses } = operation;
  const content = requestBody?.content["application/json"];
  const form = make("form", {});
  if (parameters.length > 0) {
    form.append(make("h3", {}, "Parameters"), make("table", { class: "rows" }, ...parameters.map(parameterRow)));
  }
  if (content !== undefined) {
    form.append(...bodyParts(content));
  }
  const output = make("pre", { id: "reply", "aria-live": "polite" }, "Nothing was sent yet.");
  const button = make("button", { type: "submit" }, "Send");
  const { picker, draw } = sampleParts(() => callOf(operation, form));
  form.append(button, make("h3", {}, "Reply"), output, make("h3", {}, "The same call elsewhere"), ...picker);
  form.addEventListener("input", () => {
    for (const [name, value] of new FormData(form)) {
      remembered.set(name.split(" ").at(-1), value);
    }
    draw();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    const value = await send(callOf(operation, form), { key: keyOf(), output, signal: leaving.signal });
    const id = value?.execution_id;
    if (typeof id === "string") {
      remembered.set("execution_id", id);
    }
    button.disabled = false;
  });
  draw();
  const parts = [
    make("h2", {}, summary),
    make(
      "p",
      { class: "path" },
      make("span", { class: `verb ${verb}` }, verb.toUpperCase()),
      " ",
      make("code", {}, path),
    ),
    ...prose(description),
    form,
    make("h3", {}, "Replies"),
    make("table", { class: "rows" }, ...Object.entries(responses).map(replyRow)),
  ];
  return { parts, leave: () => leaving.abort() };
}

function parameterRow({ name, in: place, description = "", required, schema, example }) {
  const id = `${place} ${name}`;
  const value = remembered.get(name) ?? example;
  const label = make("label", { for: id }, make("code", {}, name), ` ${place}${required ? ", required" : ""}`);
  return make(
    "tr",
    {},
    make("td", {}, label),
    make("td", {}, fieldFor(id, { schema, value, required })),
    make("td", { class: "dim" }, ...prose(description)),
  );
}

function fieldFor(id, { schema, value, required }) {
  const attributes = { name: id, id, ...(required && { required: "" }) };
  const choices = choicesOf(schema);
  if (choices === undefined) {
    return make("input", { ...attributes, value, spellcheck: "false" });
  }
  const options = ["", ...choices].map((word) =>
    make("option", { value: word, ...(word === String(value ?? "") && { selected: "" }) }, word),
  );
  return make("select", attributes, ...options);
}

function bodyParts({ schema, example }) {
  const text = make("textarea", { name: "body", rows: "8", "aria-label": "Body", spellcheck: "false" });
  text.value = JSON.stringify(example ?? {}, null, 2);
  text.rows = Math.min(24, Math.max(4, text.value.split("\n").length + 1));
  const fields = make("details", {}, make("summary", {}, "What it may hold"), schemaList(schema));
  return [make("h3", {}, "Body"), text, fields];
}

/** A tab for each language, and the call in the one that was chosen. */
function sampleParts(call) {
  const text = make("pre", { id: "sample" });
  const draw = () => {
    text.textContent = samples[language](call());
  };
  const tabs = Object.keys(samples).map((name) => {
    const radio = make("input", { type: "radio", name: "language", value: name });
    radio.checked = name === language;
    radio.addEventListener("change", () => {
      language = name;
      draw();
    });
    return make("label", {}, radio, ` ${name}`);
  });
  return { picker: [make("p", { class: "tabs", role: "radiogroup", "aria-label": "Language" }, ...tabs), text], draw };
}

function replyRow([status, reference]) {
  const reply = resolved(reference);
  const [body] = Object.values(reply.content ?? {});
  const isGood = status.startsWith("2") && body !== undefined;
  const headers = Object.keys(reply.headers ?? {});
  const parts = [
    ...prose(reply.description),
    ...(headers.length === 0 ? [] : [make("p", { class: "dim" }, `with ${headers.join(", ")}`)]),
    ...(isGood ? [make("details", {}, make("summary", {}, "What it holds"), schemaList(body.schema))] : []),
  ];
  return make("tr", {}, make("td", {}, make("code", {}, status)), make("td", {}, ...parts));
}
