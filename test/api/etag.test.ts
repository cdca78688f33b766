import { beforeAll, expect, test } from "vitest";
import { echoDefinition, putWorkflow, testKey } from "../support/flowcall.ts";
import { useFlowcall } from "./use-flowcall.ts";

const flowcall = await useFlowcall();
let draft: string;

beforeAll(async () => {
  await putWorkflow(flowcall.url, { alias: "edited", definition: echoDefinition("{}"), isPublished: false });
  draft = `${flowcall.url}/api/v1/workflow/edited/draft`;
});

async function currentEtag(): Promise<string> {
  const reply = await fetch(draft, { headers: { "x-api-key": testKey } });
  expect(Object(await reply.json()).etag).toBe(reply.headers.get("etag"));
  return reply.headers.get("etag") ?? "";
}

/** Saves a draft under a condition; answers the status, and the reason of a refusal. */
async function save(ifMatch: string | undefined, more: Record<string, string> = {}): Promise<string> {
  const reply = await fetch(draft, {
    method: "PUT",
    headers: {
      "x-api-key": testKey,
      "content-type": "application/json",
      ...(ifMatch !== undefined && { "if-match": ifMatch }),
      ...more,
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
  expect(await save(first)).toBe("412 ETAG_MISMATCH");
  expect(await currentEtag()).toBe(second);
});

test("If-Match is compared strongly: quoted or bare, and never weak", async () => {
  const etag = await currentEtag();
  expect(await save(`W/${etag}`)).toBe("412 ETAG_MISMATCH");
  expect(await save("nonsense")).toBe("412 ETAG_MISMATCH");
  expect(await save(etag.replaceAll('"', ""))).toBe("200");
});

test("If-Match may be a list, in one line or more, of which one has to be the state", async () => {
  const etag = await currentEtag();
  expect(await save(`"none", ${etag}`)).toBe("200");
  expect(await save(`"a,b", ${etag}, W/"7"`)).toBe("412 ETAG_MISMATCH");
  const next = Number((await currentEtag()).replaceAll('"', ""));
  expect(await save(`"${next + 7}" ,, "${next}"`)).toBe("200");
  expect(await save(`"${next}" "${next + 1}"`)).toBe("412 ETAG_MISMATCH");
});

test("If-None-Match spares a read of what the caller has, whatever the list and the strength", async () => {
  const etag = await currentEtag();
  const read = async (ifNoneMatch: string, method = "GET") => {
    const headers = { "x-api-key": testKey, "if-none-match": ifNoneMatch };
    const reply = await fetch(draft, { method, headers });
    return [reply.status, reply.headers.get("etag"), (await reply.text()).length > 0];
  };
  for (const same of [etag, `W/${etag}`, `"a,b", ${etag}`, "*"]) {
    expect(await read(same)).toEqual([304, etag, false]);
    expect(await read(same, "HEAD")).toEqual([304, etag, false]);
  }
  expect(await read('"other"')).toEqual([200, etag, true]);
  expect(await read(etag.replaceAll('"', ""))).toEqual([200, etag, true]);
});

test("If-None-Match: * makes what is not there, once, and changes nothing that is", async () => {
  expect(await save("*", { "if-none-match": "*" })).toBe("412 ETAG_MISMATCH");
  expect(await save(undefined, { "if-none-match": await currentEtag() })).toBe("400 VALIDATION_ERROR");
  expect(await save(undefined, { "if-none-match": "" })).toBe("200");
  const account = `${flowcall.url}/api/v1/linked-account/once`;
  const put = async (headers: Record<string, string>) => {
    const reply = await fetch(account, {
      method: "PUT",
      headers: { "x-api-key": testKey, "content-type": "application/json", ...headers },
      body: "{}",
    });
    return reply.status;
  };
  const statuses = await Promise.all([1, 2, 3].map(() => put({ "if-none-match": "*" })));
  expect(statuses.toSorted()).toEqual([200, 412, 412]);
  expect(await put({ "if-none-match": "*", "if-match": '"1"' })).toBe(412);
  expect(await put({})).toBe(200);
});

test("If-Match: * asks for any state, as no header does", async () => {
  expect(await save("*")).toBe("200");
  expect(await save(undefined)).toBe("200");
});
