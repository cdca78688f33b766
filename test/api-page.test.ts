import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { comments } from "../src/gen/flowcall/comments.ts";
import { ExecutionService } from "../src/gen/flowcall/v1/execution_pb.ts";
import { WorkflowService } from "../src/gen/flowcall/v1/workflow_pb.ts";
import { type Flowcall, startFlowcall, testKey } from "./support/flowcall.ts";

/** Debian's browser; CI installs it (`.ci/run`), and sets CI, so that there its absence is a failure. */
const executablePath = "/usr/bin/chromium";
const isBrowserThere = existsSync(executablePath);

let flowcall: Flowcall;

beforeAll(async () => {
  flowcall = await startFlowcall();
});

afterAll(() => flowcall.stop());

type Operation = {
  readonly operationId: string;
  readonly description: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required?: boolean }[];
  readonly responses: Readonly<Record<string, unknown>>;
};

async function readDescription() {
  const reply = await fetch(`${flowcall.url}/openapi.json`);
  expect(reply.status).toBe(200);
  const text = await reply.text();
  const api = JSON.parse(text);
  const paths: Record<string, Record<string, Operation>> = api.paths;
  return { text, api, operations: Object.values(paths).flatMap((methods) => Object.values(methods)) };
}

test("whoever opens the root of the service is led to the page", async () => {
  const reply = await fetch(flowcall.url, { redirect: "manual" });
  expect([reply.status, reply.headers.get("location")]).toEqual([302, "docs"]);
  expect(await reply.text()).toContain("/openapi.json");
  expect(await (await fetch(flowcall.url)).text()).toContain("<title>Flowcall API</title>");
});

describe("the description of the API", () => {
  test("has every method, with its comment, its scope and its refusals, and refers to nothing that is not there", async () => {
    const { text, api, operations } = await readDescription();
    for (const method of [...ExecutionService.methods, ...WorkflowService.methods]) {
      const operation = operations.find(({ operationId }) => operationId === method.localName);
      expect(operation?.description, method.name).toContain(comments[`${method.parent.typeName}.${method.name}`]);
      expect(operation?.description, method.name).toMatch(/scope `(execute|read|author|admin)`/);
      expect(Object.keys(operation?.responses ?? {})).toEqual(
        expect.arrayContaining(["200", "400", "401", "403", "503"]),
      );
    }
    // A field of a oneof too.
    expect(api.components.schemas.Node.properties.http.description).toBe(comments["flowcall.v1.Node.http"]);
    expect(comments["flowcall.v1.Node.http"]).toBeDefined();
    for (const [, reference = ""] of text.matchAll(/"\$ref":"#\/([^"]*)"/g)) {
      expect(
        reference.split("/").reduce((place, part) => place?.[part], api),
        reference,
      ).toBeDefined();
    }
  });

  test("says where each field of the page's call comes from", async () => {
    const { api } = await readDescription();
    const { parameters, requestBody, responses } = api.paths["/api/v1/workflow/{workflow}/execute"].post;
    const places = parameters.map(
      ({ name, in: place, required = false }: { name: string; in: string; required?: boolean }) => [
        place,
        name,
        required,
      ],
    );
    expect(places).toEqual([
      ["path", "workflow", true],
      ["header", "linked_account_id", true],
      ["header", "slug", false],
      ["header", "sync_execution", false],
      ["header", "config_id", false],
      ["header", "tag", false],
      ["header", "workflow_version", false],
      ["header", "prefer", false],
      ["header", "idempotency-key", false],
    ]);
    expect(requestBody.content["application/json"].schema).toMatchObject({ type: "object" });
    expect(Object.keys(responses)).toEqual(expect.arrayContaining(["202", "2XX", "409", "413", "429", "500"]));
  });

  test("gives examples that do what they say", async () => {
    const { api } = await readDescription();
    const { parameters, requestBody, responses } = api.paths["/api/v1/workflow/{workflow}/execute"].post;
    const exampleOf = (name: string) =>
      parameters.find((parameter: { name: string }) => parameter.name === name).example as unknown;
    const reply = await fetch(`${flowcall.url}/api/v1/workflow/${exampleOf("workflow")}/execute`, {
      method: "POST",
      headers: {
        "x-api-key": testKey,
        "content-type": "application/json",
        ...Object.fromEntries(
          ["linked_account_id", "slug", "sync_execution"].map((name) => [name, String(exampleOf(name))]),
        ),
      },
      body: JSON.stringify(requestBody.content["application/json"].example),
    });
    const { execution_id } = responses["200"].content["application/json"].example;
    expect(execution_id).toMatch(/^[0-9a-f]{24}$/);
    expect(Object.assign(Object(await reply.json()), { execution_id })).toEqual(
      responses["200"].content["application/json"].example,
    );
  });
});

describe.skipIf(!isBrowserThere && process.env["CI"] === undefined)("the API page", () => {
  let browser: Browser;

  beforeAll(async () => {
    if (!isBrowserThere) throw new Error(`There is no ${executablePath}: .ci/run installs Debian's chromium.`);
    browser = await chromium.launch({
      executablePath,
      // The browser looks up no name, so that it reaches nothing but this machine.
      args: ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
    });
  });

  afterAll(() => browser?.close());

  test("makes its synchronous call, shows the same for a shell, and asks nobody but its server", async () => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 1600 } });
    const asked: string[] = [];
    const problems: string[] = [];
    page.on("request", (request) => void asked.push(new URL(request.url()).origin));
    page.on("console", (message) => void (message.type() === "error" && problems.push(message.text())));
    page.on("pageerror", (error) => void problems.push(String(error)));
    await page.goto(`${flowcall.url}/docs`);
    await page.getByRole("link", { name: "Execute workflow" }).click();
    await page.getByLabel("API key").fill(testKey);
    await page.getByRole("button", { name: "Send" }).click();
    const reply = page.locator("#reply[data-status]");
    await reply.waitFor();
    expect(await reply.textContent()).toMatch(/^200 after .*"new_note": "Sample task \(assigned to John Doe\)"/s);
    const curl = await page.locator("#curl").textContent();
    expect(curl).toContain(`-X POST '${flowcall.url}/api/v1/workflow/create-task/execute'`);
    expect(curl).toContain("-H 'linked_account_id: john@acme.io'");
    expect(curl).not.toContain(testKey);
    const screenshot = process.env["TEST_SCREENSHOT"];
    if (screenshot !== undefined) await page.screenshot({ path: screenshot });
    // Every method can be looked at.
    for (const link of await page.locator("nav a").all()) {
      await link.click();
      await page
        .locator("main h2")
        .getByText((await link.textContent())?.replace(/^[A-Z]+/, "") ?? "")
        .waitFor();
    }
    expect(new Set(asked)).toEqual(new Set([flowcall.url]));
    expect(problems).toEqual([]);
  });
});
