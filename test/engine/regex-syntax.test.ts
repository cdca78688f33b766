import { describe, expect, test } from "vitest";
import { compileRegex } from "../../src/engine/regex/regex-engine.ts";

/** Letters, blanks and line ends of ASCII and of others, and what RE2 alone would read otherwise. */
const texts = [
  ...[0, 7, 8, 9, 10, 11, 12, 13, 0x1c, 0x20, 0x85, 0xa0, 0x180e, 0x200b, 0x2028, 0x2029, 0x3000, 0xfeff, 0x10ffff].map(
    (code) => String.fromCodePoint(code),
  ),
  ..."aAzQECbksS019_.-é\u212a\u017fßΣσς٣Ⅷ½€日😀[]:{}^$".split(""),
  "",
  "ab",
  "a\nb",
  "a\rb",
  "a\u2028b",
  "a.b",
  ":alpha:",
  ":]",
  "Grüße",
  "ΑΒΓ",
  "abc\n",
];

const same: readonly (readonly [string, string])[] = [
  ...[
    "\\s",
    "\\S",
    "[\\s]",
    "[^\\s]",
    "[\\S]",
    "[^\\S]",
    "[\\s\\S]",
    "^\\s*$",
    "\\s\\S",
    ".",
    "^.$",
    "a.b",
    "[.]",
    "^.*$",
  ],
  ...["[\\b]", "\\ba", "a\\b", "\\Ba", "\\w", "\\W", "\\d", "\\D", "[[]", "[\\]]", "[^\\[]", "[]", "[^]"],
  ...["^a$", "c$", "\\0", "\\cJ", "\\x41", "\\u0041", "\\u{1F600}", "(?:a|b)c?", "(?<n>a)b", "a{1,2}?", "[a\\-z]"],
].map((pattern) => [pattern, "u"] as const);

const flagged: readonly (readonly [string, string])[] = [
  [".", "su"],
  ["a.b", "s"],
  ["^B$", "iu"],
  ["[^a-z]", "iu"],
  ["\\s|A", "i"],
  ["^b$", "m"],
  ["[[:alpha:]]", ""],
  ["\\A", ""],
  ["\\z", ""],
  ["\\Qa.b\\E", ""],
  ["\\C", ""],
  ["\\a", ""],
];

describe("a regular expression means the same as in ECMAScript, though RE2 matches it", () => {
  test.each([...same, ...flagged])("/%s/%s", (pattern, flags) => {
    const regex = new RegExp(pattern, flags);
    const compiled = compileRegex(regex);
    // `^` and `$` of RE2 know one end of lines alone.
    const known = flags.includes("m") ? texts.filter((text) => !/[\r\u2028\u2029]/.test(text)) : texts;
    for (const text of known) {
      expect([text, compiled.matcher(text).find()]).toEqual([text, regex.test(text)]);
    }
  });
});

describe("a property of Unicode", () => {
  const taken = [
    ..."Letter L Lu Uppercase_Letter Cased_Letter digit punct cntrl Combining_Mark Other Unassigned Symbol Any".split(
      " ",
    ),
    ..."ASCII Alphabetic White_Space Emoji gc=Nd General_Category=Decimal_Number Script=Greek sc=Han".split(" "),
  ];
  test.each(taken)("%s is the one of ECMAScript", (name) => {
    for (const pattern of [`^\\p{${name}}$`, `^\\P{${name}}$`, `^[_\\p{${name}}]$`, `^[_\\P{${name}}]$`]) {
      const regex = new RegExp(pattern, "u");
      const compiled = compileRegex(regex);
      for (let code = 0; code < 0x30_000; code += code < 0x2_000 ? 1 : 37) {
        const text = String.fromCodePoint(code);
        if (text.isWellFormed() && compiled.matcher(text).find() !== regex.test(text)) {
          expect.fail(`${pattern} of U+${code.toString(16)}`);
        }
      }
    }
  });

  const refused: Readonly<Record<string, string>> = {
    "\\p{Script=Grek}": "Write the script's long name",
    "\\p{Script_Extensions=Greek}": "of properties with a value there are General_Category and Script",
    "\\p{ID_Start}": "has no table of that name",
  };
  test.each(Object.entries(refused))("%s is refused for what it is", (pattern, why) => {
    expect(() => compileRegex(new RegExp(pattern, "u"))).toThrow(why);
  });
});

describe("what cannot be matched in linear time is refused by name", () => {
  test.each([
    ["a(?=b)", "lookaround ((?=)"],
    ["(?<!a)b", "lookaround ((?<!)"],
    ["(a)\\1", "a backreference (\\1)"],
    ["(?<n>a)\\k<n>", "a backreference (\\k<)"],
  ])("%s", (pattern, why) => {
    expect(() => compileRegex(new RegExp(pattern, "u"))).toThrow(why);
  });
});
