/**
 * The functions behind the globals that a script has besides ECMAScript's. They take texts and give the text of
 * `{"value": …}` or `{"error": …}`, have no effect, and know nothing of the run.
 */
export function answerScript(name: string, first: string, second: string, third: string): string {
  try {
    return JSON.stringify({ value: answerTo(name, first, second, third) });
  } catch (error) {
    return JSON.stringify({ error: error instanceof Error ? error.message : "That failed." });
  }
}

function answerTo(name: string, first: string, second: string, third: string): unknown {
  switch (name) {
    case "atob":
      return atob(first);
    case "btoa":
      return btoa(first);
    case "sha256":
      // Loaded when it is needed, since it takes a tenth of a child's memory, and few scripts hash.
      return process.getBuiltinModule("node:crypto").hash("sha256", first);
    case "encode":
      return [...new TextEncoder().encode(first)];
    case "decode":
      // The script's side sends a list of bytes.
      return new TextDecoder().decode(Uint8Array.from(JSON.parse(first) as number[]));
    case "query":
      return [...new URLSearchParams(first)];
    case "form":
      // The script's side sends a list of pairs of texts.
      return new URLSearchParams(JSON.parse(first) as [string, string][]).toString();
    case "url":
      return partsOf(new URL(first, second === "" ? undefined : second));
    case "change": {
      const url = new URL(first);
      if (isSettable(second)) {
        url[second] = third;
      }
      return partsOf(url);
    }
    default:
      throw new TypeError(`There is no function "${name}".`);
  }
}

const settable = [
  "href",
  "protocol",
  "username",
  "password",
  "host",
  "hostname",
  "port",
  "pathname",
  "search",
  "hash",
] as const;

function isSettable(name: string): name is (typeof settable)[number] {
  return (settable as readonly string[]).includes(name);
}

function partsOf(url: URL): Record<string, string> {
  return { ...Object.fromEntries(settable.map((name) => [name, url[name]])), origin: url.origin };
}
