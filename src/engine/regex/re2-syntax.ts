import { RE2JS } from "re2js";

/**
 * Translates an ECMAScript regular expression into RE2's syntax (https://github.com/google/re2/wiki/Syntax). Throws an Error that
 * names the part that cannot be matched in linear time (lookaround, backreferences) or a Unicode property that RE2 lacks.
 */
export function toRe2Syntax({ source, ignoreCase, multiline, dotAll }: RegExp): string {
  const flags = `${ignoreCase ? "i" : ""}${multiline ? "m" : ""}${dotAll ? "s" : ""}`;
  let isInClass = false;
  const text = source.replace(tokens, (token) => {
    if (token.startsWith("\\")) {
      return escapeOf(token, isInClass);
    }
    // RE2 takes [:alpha:] inside of brackets for a POSIX class.
    if (isInClass && token === "[") {
      return "\\[";
    }
    if (token === "[" || token === "]") {
      isInClass = token === "[";
      return token;
    }
    if (isInClass) {
      return token;
    }
    if (token === ".") {
      return dotAll ? token : `[^${lineEnds}]`;
    }
    throw new Error(`lookaround (${token}) is not supported, because it cannot be matched in linear time`);
  });
  const translated = RE2JS.translateRegExp(text);
  return flags === "" ? translated : `(?${flags})${translated}`;
}

const tokens = /\\[pP]\{[^}]*\}|\\k<|\\.|\(\?<?[=!]|[[\].]/gsu;

/** The characters that `.` does not match (ECMA-262, LineTerminator). */
const lineEnds = "\\n\\r\\x{2028}\\x{2029}";

/** `\s` of ECMA-262: WhiteSpace and LineTerminator. RE2's own has only ASCII, without the vertical tab. */
const blanks = "\\t\\n\\x0B\\f\\r\\x{FEFF}\\p{Z}";
const noBlanks =
  "\\x00-\\x08\\x0E-\\x1F!-\\x{9F}\\x{A1}-\\x{167F}\\x{1681}-\\x{1FFF}\\x{200B}-\\x{2027}\\x{202A}-\\x{202E}" +
  "\\x{2030}-\\x{205E}\\x{2060}-\\x{2FFF}\\x{3001}-\\x{FEFE}\\x{FF00}-\\x{10FFFF}";

function escapeOf(token: string, isInClass: boolean): string {
  const asClass = (items: string) => (isInClass ? items : `[${items}]`);
  const letter = token.charAt(1);
  if (letter === "s") {
    return asClass(blanks);
  }
  if (letter === "S") {
    return asClass(noBlanks);
  }
  if (token.endsWith("}")) {
    return property(token, asClass);
  }
  if (/^[1-9]$/.test(letter) || token === "\\k<") {
    throw new Error(`a backreference (${token}) is not supported, because it cannot be matched in linear time`);
  }
  if (letter === "b" && isInClass) {
    return "\\x08";
  }
  // These escapes have a meaning in RE2 only: text boundaries, quoting, single bytes, the bell.
  return /^[AzQECa]$/.test(letter) ? letter : token;
}

function property(token: string, asClass: (items: string) => string): string {
  const [, letter = "p", key, value = ""] = /^\\([pP])\{(?:([^=]*)=)?(.*)\}$/s.exec(token) ?? [];
  if (key === undefined && value === "ASCII") {
    return asClass(letter === "p" ? "\\x00-\\x7F" : "\\x{80}-\\x{10FFFF}");
  }
  const isScript = key === "Script" || key === "sc";
  if (key !== undefined && !isScript && key !== "General_Category" && key !== "gc") {
    throw new Error(`${token} is not supported: of properties with a value there are General_Category and Script`);
  }
  const mapped = `\\${letter}{${isScript ? value : (categories.get(value) ?? value)}}`;
  if (key !== undefined && !isPropertyOf(token)) {
    throw new Error(`${token} is not a property of ECMAScript`);
  }
  if (!isKnownToRe2(mapped)) {
    const instead = isScript
      ? "Write the script's long name, as in \\p{Script=Greek}"
      : "Categories and scripts are known";
    throw new Error(
      `${token} is not supported: RE2, which matches in linear time, has no table of that name. ${instead}`,
    );
  }
  return mapped;
}

function isPropertyOf(token: string): boolean {
  try {
    return new RegExp(token, "u") !== undefined;
  } catch {
    return false;
  }
}

function isKnownToRe2(token: string): boolean {
  try {
    return RE2JS.compile(token) !== undefined;
  } catch {
    return false;
  }
}

/** The long names of general categories (PropertyValueAliases.txt of Unicode). RE2 has the short ones. */
const categories: ReadonlyMap<string, string> = new Map(
  (
    "Other=C Control=Cc cntrl=Cc Format=Cf Unassigned=Cn Private_Use=Co Surrogate=Cs Letter=L Cased_Letter=LC " +
    "Lowercase_Letter=Ll Modifier_Letter=Lm Other_Letter=Lo Titlecase_Letter=Lt Uppercase_Letter=Lu Mark=M " +
    "Combining_Mark=M Spacing_Mark=Mc Enclosing_Mark=Me Nonspacing_Mark=Mn Number=N Decimal_Number=Nd digit=Nd " +
    "Letter_Number=Nl Other_Number=No Punctuation=P punct=P Connector_Punctuation=Pc Dash_Punctuation=Pd " +
    "Close_Punctuation=Pe Final_Punctuation=Pf Initial_Punctuation=Pi Other_Punctuation=Po Open_Punctuation=Ps " +
    "Symbol=S Currency_Symbol=Sc Modifier_Symbol=Sk Math_Symbol=Sm Other_Symbol=So Separator=Z Line_Separator=Zl " +
    "Paragraph_Separator=Zp Space_Separator=Zs"
  )
    .split(" ")
    .map((pair) => {
      const [name = "", short = ""] = pair.split("=");
      return [name, short] as const;
    }),
);
