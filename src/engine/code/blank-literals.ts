/**
 * Replaces comments, strings, templates and regular expressions in JavaScript by blanks, so that what is left is code. Offsets
 * and line ends stay. Code in `${…}` of a template is blanked with it. Whether `/` divides is decided by what stands before it.
 */
export function blankLiterals(code: string): string {
  let blanked = "";
  let position = 0;
  for (const found of code.matchAll(token)) {
    const [text] = found;
    if (found.index < position) {
      continue;
    }
    blanked += code.slice(position, found.index);
    const end =
      text === "/"
        ? regexEnd(code, found.index, blanked)
        : text === "`"
          ? templateEnd(code, found.index + 1)
          : found.index + text.length;
    const literal = code.slice(found.index, end);
    blanked += text === "/" && literal === "/" ? "/" : literal.replaceAll(/[^\n]/g, " ");
    position = end;
  }
  return blanked + code.slice(position);
}

/** Comments and quoted strings as a whole; what may begin a template or a regular expression. */
const token = /\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|"(?:[^"\\\n]|\\[\s\S])*"?|'(?:[^'\\\n]|\\[\s\S])*'?|`|\//g;

/** The end of a regular expression, or of the one character of a division. */
function regexEnd(code: string, start: number, before: string): number {
  const trimmed = before.trimEnd();
  const divides =
    /[\w$)\]]$/.test(trimmed) &&
    !/(?<![\w$.])(?:return|typeof|case|in|of|delete|void|throw|new|else|do|await|yield)$/.test(trimmed.slice(-20));
  if (divides) {
    return start + 1;
  }
  regex.lastIndex = start;
  const [found] = regex.exec(code) ?? [];
  return start + (found?.length ?? 1);
}

const regex = /\/(?:[^/\\[\n]|\\[^\n]|\[(?:[^\]\\\n]|\\[^\n])*\])+\/\w*/y;

/** The end of a template, whose first backtick comes before `start`. */
function templateEnd(code: string, start: number): number {
  let position = start;
  let depth = 0;
  while (position < code.length) {
    const letter = code[position];
    if (letter === "\\") {
      position += 1;
    } else if (depth === 0 && letter === "`") {
      return position + 1;
    } else if (letter === "$" && code[position + 1] === "{") {
      depth += 1;
      position += 1;
    } else if (depth > 0 && letter === "}") {
      depth -= 1;
    } else if (depth > 0 && letter === "{") {
      depth += 1;
    } else if (depth > 0 && letter === "`") {
      position = templateEnd(code, position + 1) - 1;
    }
    position += 1;
  }
  return code.length;
}
