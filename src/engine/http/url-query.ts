/** Adds parameters to a URL. Names and values are percent-encoded, so that data cannot inject parameters. */
export function withQuery(url: string, parameters: readonly (readonly [name: string, value: string])[]): string {
  if (parameters.length === 0) {
    return url;
  }
  const [base = ""] = url.split("#");
  const added = parameters.map((pair) => pair.map((text) => encodeURIComponent(text.toWellFormed())).join("="));
  return `${base}${base.includes("?") ? "&" : "?"}${added.join("&")}`;
}

/** Sets a parameter of a URL, in place of all parameters of that name. */
export function withParameter(url: string, name: string, value: string): string {
  const [base = ""] = url.split("#");
  const start = base.indexOf("?");
  if (start < 0) {
    return withQuery(base, [[name, value]]);
  }
  const kept = base.slice(start + 1).split("&");
  const others = kept.filter((pair) => nameOf(pair) !== name);
  const rest =
    others.length === kept.length ? base : `${base.slice(0, start)}${others.length > 0 ? "?" : ""}${others.join("&")}`;
  return withQuery(rest, [[name, value]]);
}

/** The decoded name of a parameter, or its text where that is not valid percent-encoding. */
function nameOf(pair: string): string {
  const [written = ""] = pair.split("=", 1);
  try {
    return decodeURIComponent(written.replaceAll("+", " "));
  } catch {
    return written;
  }
}
