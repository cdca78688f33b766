import { afterAll, beforeAll, expect, test } from "vitest";
import { echoDefinition, type Flowcall, putWorkflow, startFlowcall, testKey } from "../support/flowcall.ts";

let flowcall: Flowcall;
let draft: string;

beforeAll(async () => {
  flowcall = await startFlowcall();
  await putWorkflow(flowcall.url, { alias: "edited", definition: echoDefinition("{}"), isPublished: false });
  draft = `${flowcall.url}/api/v1/workflow/edited/draft`;
});

afterAll(async () => flowcall?.stop());

async function currentEtag(): Promise<string> {
  const reply = await fetch(draft, { headers: { "x-api-key": testKey } });
  expect(Object(await reply.json()).etag).toBe(reply.headers.get("etag"));
  return reply.headers.get("etag") ?? "";
}

/** Saves a draft under a condition; answers the status, and the reason of a refusal. */
async function save(ifMatch: string | undefined): Promise<string> {
  const reply = await fetch(draft, {
    method: "PUT",
    headers: {
      "x-api-key": testKey,
      "content-type": "application/json",
      ...(ifMatch !== undefined && { "if-match": ifMatch }),
    },
    body: JSON.stringify(echoDefinition("{}")),
  });
  return `${reply.status} ${Object(await reply.json()).error_code ?? ""}`.trim();
}

test("a draft that was saved bears another ETag, and the old one saves nothing any more", async () => {
  const first = await currentEtag();
  expect(first).toMatch(/^"\d+"$/);
  expect(await save(first)).toBe("200");
  const second = await currentEtag();
  expect(second).not.toBe(first);
  expect(await save(first)).toBe("409 ETAG_MISMATCH");
  expect(await currentEtag()).toBe(second);
});

test("If-Match is compared strongly: quoted or bare, and never weak", async () => {
  const etag = await currentEtag();
  expect(await save(`W/${etag}`)).toBe("409 ETAG_MISMATCH");
  expect(await save("nonsense")).toBe("409 ETAG_MISMATCH");
  expect(await save(etag.replaceAll('"', ""))).toBe("200");
});

test("If-Match: * asks for any state, as no header does", async () => {
  expect(await save("*")).toBe("200");
  expect(await save(undefined)).toBe("200");
});
