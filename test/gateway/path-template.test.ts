import { expect, test } from "vitest";
import { parsePathTemplate, TemplateError } from "../../src/gateway/path-template.ts";

/** A template in a spelling of its own: literals as they are, `{name start-end}` for each variable. */
function check(source: string): string {
  const { segments, variables, verb } = parsePathTemplate(source);
  const signs = { one: "*", rest: "**" };
  const path = segments.map((segment) => (segment.kind === "literal" ? segment.text : signs[segment.kind])).join("/");
  const names = variables.map(({ fieldPath, start, end }) => ` {${fieldPath.join(".")} ${start}-${end}}`).join("");
  return `/${path}${verb === "" ? "" : `:${verb}`}${names}`;
}

test.each([
  ["/v1", "/v1"],
  ["/api/v1/workflow/{workflow}/execute", "/api/v1/workflow/*/execute {workflow 3-4}"],
  ["/v1/{name=things/*}", "/v1/things/* {name 1-3}"],
  ["/v1/{a.b_1.C=x/*/y/**}:verb", "/v1/x/*/y/**:verb {a.b_1.C 1-rest}"],
  ["/v1/{a}/{b}:cancel", "/v1/*/*:cancel {a 1-2} {b 2-3}"],
  ["/v1/*/x/**", "/v1/*/x/**"],
  ["/{all=**}", "/** {all 0-rest}"],
  ["/v1/a-b.c_d~e!$&'()+,;=@%2F", "/v1/a-b.c_d~e!$&'()+,;=@%2F"],
  ["/v1:verb", "/v1:verb"],
])("%s", (source, expected) => {
  expect(check(source)).toBe(expected);
});

test.each([
  ["", 1, 'expected "/", found the end'],
  ["v1", 1, 'expected "/", found "v"'],
  ["/", 2, "expected a segment, found the end"],
  ["/v1/", 5, "expected a segment"],
  ["//v1", 2, 'expected a segment, found "/"'],
  ["/v1/{}", 6, 'expected a field name, found "}"'],
  ["/v1/{name", 10, 'expected "}", found the end'],
  ["/v1/{na me}", 8, 'expected "}", found " "'],
  ["/v1/{1a}", 6, "expected a field name"],
  ["/v1/{a.}", 8, "expected a field name"],
  ["/v1/{a=}", 8, "expected a segment"],
  ["/v1/{a={b}}", 8, "a variable may not stand inside a variable"],
  ["/v1/{a}/{a}", 10, "the variable a stands here a second time"],
  ["/v1/**/x", 8, "nothing may follow **"],
  ["/v1/{a=**}/x", 12, "nothing may follow **"],
  ["/v1/***", 7, 'unexpected "*"'],
  ["/v1/a*", 6, "a wildcard is a segment of its own"],
  ["/v1/*a", 6, 'unexpected "a"'],
  ["/v1/{a}b", 8, 'unexpected "b"'],
  ["/v1/a:", 7, "expected a verb, found the end"],
  ["/v1/a:b:c", 8, 'unexpected ":"'],
  ["/v1/a:b/c", 8, 'unexpected "/"'],
  ["/v1/%2", 5, 'expected a segment, found "%"'],
  ["/v1/ü", 5, "expected a segment"],
  ["/v1/a?b", 6, 'unexpected "?"'],
])("%s is refused at column %i", (source, column, problem) => {
  const parse = () => parsePathTemplate(source);
  expect(parse).toThrow(TemplateError);
  expect(parse).toThrow(problem);
  expect(parse).toThrow(expect.objectContaining({ column }));
});
