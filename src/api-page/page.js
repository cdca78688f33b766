// Draws the API from /openapi.json, and calls it. Text is only ever set as text: nothing that a server says becomes markup.

const api = await (await fetch("/openapi.json")).json();
const keyInput = document.getElementById("key");
const main = document.getElementById("operation");

/** An element with attributes and children; a child that is a string is text. */
function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** A comment: what stands between backticks is code. */
function prose(text) {
  return text.split("`").map((part, index) => (index % 2 === 0 ? part : make("code", {}, part)));
}

const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([verb, operation]) => ({ path, verb, ...operation })),
);

/** What a reference stands for. */
function resolved(schema) {
  if (schema?.$ref === undefined) return schema ?? {};
  return schema.$ref
    .slice(2)
    .split("/")
    .reduce((place, part) => place[part], api);
}

/** A schema in a line or a few, as a person would write it; what was written above is only named. */
function shapeOf(schema, indent = "", seen = []) {
  const name = schema.$ref?.split("/").at(-1);
  const real = resolved(schema);
  if (real.enum !== undefined) return real.enum.map((word) => JSON.stringify(word)).join(" | ");
  if (real.type === "array") return `[${shapeOf(real.items ?? {}, indent, seen)}]`;
  if (real.properties === undefined) return real.type ?? "any value";
  if (name !== undefined && seen.includes(name)) return name;
  const inner = `${indent}  `;
  const lines = Object.entries(real.properties).map(
    ([key, value]) =>
      `${inner}${key}${real.required?.includes(key) ? "" : "?"}: ${shapeOf(value, inner, [...seen, name])}`,
  );
  return `{\n${lines.join("\n")}\n${indent}}`;
}

/** The call as the form has it now. */
function callOf(operation, form) {
  const values = new FormData(form);
  let path = operation.path;
  const query = new URLSearchParams();
  const headers = {};
  for (const { name, in: place } of operation.parameters ?? []) {
    const value = String(values.get(`${place} ${name}`) ?? "");
    if (place === "path") path = path.replace(`{${name}}`, encodeURIComponent(value));
    else if (value === "") continue;
    else if (place === "query") query.append(name, value);
    else headers[name] = value;
  }
  const body = values.get("body");
  if (body !== null) headers["content-type"] = "application/json";
  const url = query.size === 0 ? path : `${path}?${query}`;
  return { url, method: operation.verb.toUpperCase(), headers, ...(body !== null && { body: String(body) }) };
}

/** The same call for a shell, which has the key in a variable. */
function curlOf({ url, method, headers, body }) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const parts = [`curl -sS -X ${method} ${quoted(location.origin + url)}`, '-H "x-api-key: $KEY"'];
  for (const [name, value] of Object.entries(headers)) parts.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (body !== undefined) parts.push(`-d ${quoted(body)}`);
  return parts.join(" \\\n  ");
}

/** Sends a call and shows what comes as it comes: some replies are events that go on for long. */
async function send({ url, body, ...call }, output, signal) {
  const begun = performance.now();
  output.textContent = "…";
  try {
    const headers = { ...call.headers, "x-api-key": keyInput.value };
    const reply = await fetch(url, { ...call, headers, signal, ...(body !== undefined && { body }) });
    const shown = ["x-request-id", "x-execution-id", "x-execution-status", "location", "retry-after"].flatMap((name) =>
      reply.headers.has(name) ? [`${name}: ${reply.headers.get(name)}`] : [],
    );
    const head = `${reply.status} after ${Math.round(performance.now() - begun)} ms\n${shown.join("\n")}\n\n`;
    let text = "";
    for await (const part of reply.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += part;
      output.textContent = head + text;
    }
    output.textContent = head + pretty(text);
    output.dataset.status = reply.status;
  } catch (error) {
    output.textContent = signal.aborted
      ? `${output.textContent}\n(left)`
      : `The call did not reach the server: ${error}`;
  }
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function parameterRow({ name, in: place, description = "", required, schema, example }) {
  const options = resolved(schema).enum ?? (resolved(schema).type === "boolean" ? ["true", "false"] : undefined);
  const id = `${place} ${name}`;
  const input = make("input", { name: id, id, value: example, ...(required && { required: "" }) });
  if (options !== undefined) {
    input.setAttribute("list", `${id} options`);
    input.after(make("datalist", { id: `${id} options` }, ...options.map((value) => make("option", { value }))));
  }
  const label = make("label", { for: id }, make("code", {}, name), ` ${place}${required ? ", required" : ""}`);
  return make(
    "tr",
    {},
    make("td", {}, label),
    make("td", {}, input),
    make("td", { class: "dim" }, ...prose(description)),
  );
}

let leaving = new AbortController();

function show(operation) {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const { verb, path, summary, description, parameters = [], requestBody, responses } = operation;
  const content = requestBody?.content["application/json"];
  const form = make("form", {});
  if (parameters.length > 0)
    form.append(make("h3", {}, "Parameters"), make("table", {}, ...parameters.map(parameterRow)));
  if (content !== undefined) {
    const text = make("textarea", { name: "body", rows: "8", "aria-label": "Body", spellcheck: "false" });
    text.value = JSON.stringify(content.example ?? {}, null, 2);
    form.append(make("h3", {}, "Body"), text, make("pre", { class: "dim" }, shapeOf(content.schema)));
  }
  const curl = make("pre", { id: "curl" });
  const output = make("pre", { id: "reply", "aria-live": "polite" }, "Nothing was sent yet.");
  const button = make("button", { type: "submit" }, "Send");
  form.append(button, make("h3", {}, "The same with curl"), curl, make("h3", {}, "Reply"), output);
  const draw = () => {
    curl.textContent = curlOf(callOf(operation, form));
  };
  form.addEventListener("input", draw);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    await send(callOf(operation, form), output, signal);
    button.disabled = false;
  });
  const replies = Object.entries(responses).map(([status, reference]) => {
    const reply = resolved(reference);
    const [body] = Object.values(reply.content ?? {});
    const shape = status.startsWith("2") && body !== undefined ? [make("pre", {}, shapeOf(body.schema))] : [];
    return make(
      "tr",
      {},
      make("td", {}, make("code", {}, status)),
      make("td", {}, ...prose(reply.description), ...shape),
    );
  });
  main.replaceChildren(
    make("h2", {}, summary),
    make("p", {}, make("span", { class: `verb ${verb}` }, verb.toUpperCase()), " ", make("code", {}, path)),
    ...description.split("\n\n").map((text) => make("p", {}, ...prose(text))),
    form,
    make("h3", {}, "Replies"),
    make("table", {}, ...replies),
  );
  draw();
}

/** Shows the method that the address names, or the first one. */
function route() {
  const id = decodeURIComponent(location.hash.slice(1));
  const operation = operations.find(({ operationId }) => operationId === id) ?? operations[0];
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${operation.operationId}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  show(operation);
}

document.getElementById("version").textContent = api.info.version;
document
  .getElementById("operations")
  .append(
    ...api.tags.flatMap(({ name }) => [
      make("h2", {}, name),
      ...operations
        .filter(({ tags }) => tags.includes(name))
        .map(({ verb, operationId, summary }) =>
          make("a", { href: `#${operationId}` }, make("span", { class: `verb ${verb}` }, verb.toUpperCase()), summary),
        ),
    ]),
  );
addEventListener("hashchange", route);
route();
