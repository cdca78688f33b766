// The call that a form holds, and the same call in the words of a shell and of two languages.

/** The call as the form has it now. A part of the path that is not filled in yet keeps its name in braces. */
export function callOf(operation, form) {
  const values = new FormData(form);
  let path = operation.path;
  const query = new URLSearchParams();
  const headers = {};
  for (const { name, in: place } of operation.parameters ?? []) {
    const value = String(values.get(`${place} ${name}`) ?? "");
    if (value === "") {
      continue;
    }
    if (place === "path") {
      path = path.replace(`{${name}}`, encodeURIComponent(value));
    } else if (place === "query") {
      query.append(name, value);
    } else {
      headers[name] = value;
    }
  }
  const body = values.get("body");
  if (body !== null) {
    headers["content-type"] = "application/json";
  }
  const url = query.size === 0 ? path : `${path}?${query}`;
  const isStream = operation.responses["200"]?.content?.["text/event-stream"] !== undefined;
  return { url, method: operation.verb.toUpperCase(), headers, isStream, ...(body !== null && { body: String(body) }) };
}

/** Each takes the key from a variable of its surroundings. */
export const samples = { curl, TypeScript: typeScript, Python: python };

function curl({ url, method, headers, body, isStream }) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const parts = [
    `curl -sS${isStream ? "N" : ""} -X ${method} ${quoted(location.origin + url)}`,
    '-H "x-api-key: $KEY"',
  ];
  for (const [name, value] of Object.entries(headers)) {
    parts.push(`-H ${quoted(`${name}: ${value}`)}`);
  }
  if (body !== undefined) {
    parts.push(`-d ${quoted(body)}`);
  }
  return parts.join(" \\\n  ");
}

function typeScript({ url, method, headers, body, isStream }) {
  const lines = Object.entries(headers).map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`);
  const all = ['"x-api-key": process.env["KEY"] ?? ""', ...lines].map((line) => `    ${line},`).join("\n");
  const sent = body === undefined ? "" : `  body: JSON.stringify(${indented(body, "  ")}),\n`;
  const read = isStream
    ? "for await (const text of reply.body?.pipeThrough(new TextDecoderStream()) ?? []) console.log(text);"
    : "console.log(reply.status, await reply.json());";
  return `const reply = await fetch(${JSON.stringify(location.origin + url)}, {
  method: "${method}",
  headers: {
${all}
  },
${sent}});
${read}`;
}

function python({ url, method, headers, body, isStream }) {
  const lines = Object.entries(headers).map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`);
  const all = ['"x-api-key": os.environ["KEY"]', ...lines].map((line) => `        ${line},`).join("\n");
  const sent = body === undefined ? "" : `    data=${JSON.stringify(compact(body))}.encode(),\n`;
  const read = isStream
    ? "for line in reply:\n        print(line.decode().rstrip())"
    : "print(reply.status, json.load(reply))";
  return `import json, os, urllib.request

request = urllib.request.Request(
    ${JSON.stringify(location.origin + url)},
    method="${method}",
    headers={
${all}
    },
${sent})
with urllib.request.urlopen(request) as reply:
    ${read}`;
}

/** JSON again where it is JSON, which is a value of TypeScript's too. */
function indented(text, indent) {
  const value = parsed(text);
  return value === undefined ? JSON.stringify(text) : JSON.stringify(value, null, 2).replaceAll("\n", `\n${indent}`);
}

function compact(text) {
  const value = parsed(text);
  return value === undefined ? text : JSON.stringify(value);
}

export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
