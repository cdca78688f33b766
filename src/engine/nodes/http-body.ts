import { createHash } from "node:crypto";
import type { JsonValue } from "@bufbuild/protobuf";
import type { Limits } from "../../domain/limits.ts";
import { unreachable } from "../../domain/unreachable.ts";
import type { HttpMultipart, HttpNode } from "../../gen/flowcall/v1/definition_pb.ts";
import { NodeFailure } from "../errors/node-failure.ts";
import type { Field } from "../templates/field.ts";
import { compileJson } from "../templates/json-template.ts";
import type { Scope } from "../templates/reference.ts";
import { requestTooLarge, type TextBudget } from "../templates/text-budget.ts";
import { compileText } from "../templates/text-template.ts";
import { checkOutput } from "../values/check-output.ts";
import { checkName, compileFields, compileRepeated } from "./http-fields.ts";

/** A request body, with its content type unless the author sets another. */
type Content = { readonly text: string; readonly type: string };

type RenderContent = (scope: Scope) => Content | undefined;

type BodyTools = { readonly field: Field; readonly limits: Limits };

/** Compiles the body of a request. The same data gives the same bytes, so that a retry sends the same request. */
export function compileBody(message: HttpNode, tools: BodyTools): RenderContent {
  const render = compileContent(message, tools);
  const { bytesMax } = tools.limits.output;
  return (scope) => {
    const content = render(scope);
    // A character has three bytes at most.
    if (content !== undefined && content.text.length * 3 > bytesMax && Buffer.byteLength(content.text) > bytesMax) {
      throw tooLarge(`The body of the request has more than ${bytesMax} bytes (limit output.bytesMax).`);
    }
    return content;
  };
}

function compileContent({ body, headers }: HttpNode, { field, limits }: BodyTools): RenderContent {
  switch (body.case) {
    case undefined:
      return () => undefined;
    case "json": {
      const json = compileJson(body.value, limits.output, field.member("json"));
      return (scope) => ({
        text: jsonText(json.render(scope, field.texts(requestTooLarge)), limits),
        type: "application/json",
      });
    }
    case "text": {
      const text = compileText(body.value, field.member("text"));
      return (scope) => ({ text: text.render(scope, field.texts(requestTooLarge)), type: "text/plain; charset=utf-8" });
    }
    case "form": {
      const pairs = compileFields(body.value.fields, (index) => field.member(`form.fields[${index}]`));
      return (scope) => ({
        text: new URLSearchParams(pairs(scope).map(([name, value]) => [name, value])).toString(),
        type: "application/x-www-form-urlencoded",
      });
    }
    case "multipart":
      if (headers.some(({ key }) => key.toLowerCase() === "content-type")) {
        const message = "The content type of a multipart body names its boundary. Remove the header Content-Type.";
        field.member("headers").error("HEADER_INVALID", message);
      }
      return compileMultipart(body.value, field.member("multipart"));
    default:
      return unreachable(body);
  }
}

function jsonText(value: JsonValue, limits: Limits): string {
  try {
    return checkOutput(value, limits.output);
  } catch (error) {
    if (error instanceof NodeFailure) {
      throw tooLarge(`The JSON of the body cannot be sent. ${error.message}`);
    }
    throw error;
  }
}

function tooLarge(message: string): NodeFailure {
  return new NodeFailure("REQUEST_TOO_LARGE", message, { isFinal: true });
}

/** Writes multipart/form-data as browsers do (https://html.spec.whatwg.org/#multipart-form-data). */
function compileMultipart({ parts }: HttpMultipart, field: Field): RenderContent {
  const compiled = parts.map(({ name, value, filename, contentType }, index) => {
    const member = field.member(`parts[${index}]`);
    checkName(name, member.member("name"));
    if (contentType !== undefined && !/^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(\s*;[\x20-\x7e]*)?$/.test(contentType)) {
      const message = `${JSON.stringify(contentType)} is not a content type. Write one such as text/csv.`;
      member.member("content_type").error("CONTENT_TYPE_INVALID", message);
    }
    const file = filename === undefined ? undefined : compileText(filename, member.member("filename"));
    const contents = compileRepeated(value, member.member("value"));
    return (scope: Scope, texts: TextBudget): readonly string[] => {
      const found = contents.render(scope, texts);
      const type = contentType ?? (file && "application/octet-stream");
      const disposition = `form-data; name="${quoted(name)}"${file ? `; filename="${quoted(file.render(scope, texts))}"` : ""}`;
      const head = `Content-Disposition: ${disposition}\r\n${type === undefined ? "" : `Content-Type: ${type}\r\n`}`;
      return found.map((text) => `${texts.take(head)}\r\n${text}\r\n`);
    };
  });
  return (scope) => {
    const texts = field.texts(requestTooLarge);
    const written = compiled.flatMap((part) => part(scope, texts));
    const boundary = boundaryFor(written);
    const text = `${written.map((part) => `--${boundary}\r\n${part}`).join("")}--${boundary}--\r\n`;
    return { text, type: `multipart/form-data; boundary=${boundary}` };
  };
}

function quoted(text: string): string {
  return text.replaceAll("\r", "%0D").replaceAll("\n", "%0A").replaceAll('"', "%22");
}

/** Makes a boundary that no part contains: data with the boundary in it could end its part and inject another one. */
function boundaryFor(parts: readonly string[]): string {
  const hash = createHash("sha256");
  for (const part of parts) {
    hash.update(part);
  }
  for (;;) {
    const boundary = hash.copy().digest("hex").slice(0, 40);
    if (!parts.some((part) => part.includes(boundary))) {
      return boundary;
    }
    hash.update(boundary);
  }
}
