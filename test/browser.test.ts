import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { chromium } from "playwright-core";
import { rolldown } from "rolldown";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { PageAnswer, PageCall } from "./browser/page.ts";
import { type Flowcall, startFlowcall, testKey } from "./support/flowcall.ts";

/** Debian's browser; CI installs it (`.ci/run`), and sets CI, so that there its absence is a failure. */
const executablePath = "/usr/bin/chromium";
const isBrowserThere = existsSync(executablePath);

const protocols = ["gRPC-Web", "Connect JSON", "REST"] as const;

/** Serves the page on an origin of its own. */
async function startSite(script: string): Promise<{ readonly origin: string; stop(): Promise<void> }> {
  const server = createServer((_, response) => {
    response.setHeader("content-type", "text/html; charset=utf-8");
    response.end(`<!doctype html><title>A page that calls Flowcall</title><script>${script}</script>`);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") {
    throw new Error("there is no port");
  }
  const stop = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  };
  return { origin: `http://127.0.0.1:${address.port}`, stop };
}

async function bundlePage(): Promise<string> {
  const bundle = await rolldown({ input: join(import.meta.dirname, "browser/page.ts"), platform: "browser" });
  const { output } = await bundle.generate({ format: "iife", name: "flowcallPage", codeSplitting: false });
  await bundle.close();
  // Nothing in the script may end the element that it stands in.
  return output[0].code.replaceAll("</script", "<\\/script");
}

describe.skipIf(!isBrowserThere && process.env["CI"] === undefined)("a web page of another origin", () => {
  let sites: readonly Awaited<ReturnType<typeof startSite>>[] = [];
  let flowcall: Flowcall;
  let browser: Browser;
  let friend: Page;
  let stranger: Page;

  beforeAll(async () => {
    if (!isBrowserThere) {
      throw new Error(`There is no ${executablePath}: .ci/run installs Debian's chromium.`);
    }
    const script = await bundlePage();
    const [allowed, other] = await Promise.all([startSite(script), startSite(script)]);
    sites = [allowed, other];
    flowcall = await startFlowcall({ FLOWCALL_CORS_ORIGINS: allowed.origin });
    browser = await chromium.launch({
      executablePath,
      // The browser looks up no name, so that it reaches nothing but this machine.
      args: ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
    });
    friend = await browser.newPage();
    await friend.goto(allowed.origin);
    stranger = await browser.newPage();
    await stranger.goto(other.origin);
  });

  afterAll(async () => {
    await browser?.close();
    await flowcall?.stop();
    await Promise.all(sites.map((site) => site.stop()));
  });

  async function execute(page: Page, fields: Pick<PageCall, "protocol"> & Partial<PageCall>): Promise<PageAnswer> {
    const payload = { "Task Name": "From a page – é 𝄞" };
    const call: PageCall = { url: flowcall.url, workflow: "create-task", payload, ...fields };
    return page.evaluate(`flowcallPage.execute(${JSON.stringify(call)})`);
  }

  async function countExecutions(): Promise<number> {
    const { rows } = await flowcall.database.query("select count(*)::int as count from execution");
    return Number(rows[0]?.["count"]);
  }

  test.each(protocols)("that is allowed gets the value and the execution's id over %s", async (protocol) => {
    const anId = expect.stringMatching(/^[0-9a-f]{24}$/);
    const message = { return_value: { success: "true", new_note: "From a page – é 𝄞" }, execution_id: anId };
    const answer = await execute(friend, { protocol, key: testKey });
    expect(answer).toEqual({ kind: "value", message, executionId: anId });
  });

  test.each(protocols)("that is allowed learns why it was refused, and for which field, over %s", async (protocol) => {
    const payload = { list: [1, { id: 2 ** 53 + 2 }] };
    const badField = await execute(friend, { protocol, key: testKey, payload });
    expect(badField).toEqual({ kind: "refusal", reason: "INVALID_JSON", fields: ["payload.list[1].id"] });
    const noKey = await execute(friend, { protocol });
    expect(noKey).toEqual({ kind: "refusal", reason: "MISSING_API_KEY", fields: [] });
  });

  test.each(protocols)("that is not allowed gets nothing over %s, and nothing is accepted", async (protocol) => {
    const before = await countExecutions();
    expect(await execute(stranger, { protocol, key: testKey })).toEqual({ kind: "nothing" });
    expect(await execute(stranger, { protocol })).toEqual({ kind: "nothing" });
    expect(await countExecutions()).toBe(before);
  });
});
