import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { JsonObject } from "@bufbuild/protobuf";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { apiExamples } from "../src/api-docs/api-examples.ts";
import { reasons } from "../src/domain/reason.ts";
import { comments } from "../src/gen/flowcall/comments.ts";
import { ExecutionService } from "../src/gen/flowcall/v1/execution_pb.ts";
import { WorkflowService } from "../src/gen/flowcall/v1/workflow_pb.ts";
import { type Flowcall, startFlowcall, testKey } from "./support/flowcall.ts";

/** Debian's browser; CI installs it (`.ci/run`), and sets CI, so that there its absence is a failure. */
const executablePath = "/usr/bin/chromium";
const isBrowserThere = existsSync(executablePath);

const run = promisify(execFile);

let flowcall: Flowcall;
let folder: string;

beforeAll(async () => {
  flowcall = await startFlowcall();
  folder = await mkdtemp(join(tmpdir(), "flowcall-page-"));
});

afterAll(async () => {
  await flowcall.stop();
  await rm(folder, { recursive: true, force: true });
});

type Schema = {
  readonly $ref?: string;
  readonly description?: string;
  readonly required?: readonly string[];
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
};

type Content = Readonly<Record<string, { readonly schema: Schema; readonly example?: JsonObject }>>;

type Parameter = {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
  readonly example?: string | boolean;
};

type Operation = {
  readonly operationId: string;
  readonly description: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly content?: Content; readonly "x-error-codes"?: string[] }>>;
};

type Api = {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
};

async function readDescription() {
  const reply = await fetch(`${flowcall.url}/openapi.json`);
  expect(reply.status).toBe(200);
  const text = await reply.text();
  const api: Api = JSON.parse(text);
  const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([verb, operation]) => ({ path, verb, ...operation })),
  );
  const operation = (id: string) => {
    const found = operations.find(({ operationId }) => operationId === id);
    if (found === undefined) {
      throw new Error(`there is no ${id}`);
    }
    return found;
  };
  return { text, api, operations, operation };
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
    // A field of a oneof too, and each value of an enum.
    const { schemas } = api.components;
    expect(schemas["Execution.State"]?.description).toContain("`TIMED_OUT`: ");
    expect(schemas["Node"]?.properties?.["http"]?.description).toBe(comments["flowcall.v1.Node.http"]);
    expect(comments["flowcall.v1.Node.http"]).toBeDefined();
    for (const [, reference = ""] of text.matchAll(/"\$ref":"#\/([^"]*)"/g)) {
      const place = reference.split("/").reduce((outer: unknown, part) => Object(outer)[part], api);
      expect(place, reference).toBeDefined();
    }
  });

  test("says where each field of the page's call comes from", async () => {
    const { operation } = await readDescription();
    const { parameters = [], requestBody, responses } = operation("executeWorkflow");
    const places = parameters.map(({ name, in: place, required = false }) => [place, name, required]);
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
      ["header", "webhook", false],
    ]);
    expect(requestBody?.content["application/json"]?.schema).toMatchObject({ type: "object" });
    expect(Object.keys(responses)).toEqual(expect.arrayContaining(["202", "2XX", "409", "413", "429", "500"]));
  });

  test("lists for each method its own refusals and those of any call, and no others", async () => {
    const { operations, operation } = await readDescription();
    const codesOf = (responses: Operation["responses"]) =>
      Object.values(responses).flatMap((response) => response["x-error-codes"] ?? []);
    const codesOfMethod = (id: string) => codesOf(operation(id).responses);
    const ofRetry = ["NODE_DID_NOT_FAIL", "QUEUE_FULL", "SERVER_BUSY"];
    expect(codesOfMethod("retryNode")).toEqual(expect.arrayContaining(ofRetry));
    expect(codesOfMethod("executeWorkflow")).toEqual(expect.arrayContaining(["WORKFLOW_ERRORED", "PAYLOAD_INVALID"]));
    for (const code of ["NODE_DID_NOT_FAIL", "INTEGRATION_IN_USE", "WATCHERS_FULL", "INVALID_JSON"]) {
      expect(codesOfMethod("listExecutions")).not.toContain(code);
    }
    const all = operations.flatMap(({ responses }) => codesOf(responses));
    // What no REST call that is described here meets.
    const others = ["ROUTE_NOT_FOUND", "METHOD_NOT_ALLOWED", "ENCODING_UNDECLARED", "WEBHOOK_HEADERS_WRONG"];
    expect(new Set([...all, ...others])).toEqual(new Set([...Object.keys(reasons), "WORKFLOW_ERRORED"]));
  });

  test("gives examples that do what they say, where they are tried in order", async () => {
    const { operation } = await readDescription();
    for (const name of Object.keys(apiExamples)) {
      const method = operation(`${name[0]?.toLowerCase()}${name.slice(1)}`);
      const { example = {} } = method.requestBody?.content["application/json"] ?? {};
      const reply = await fetch(flowcall.url + urlOf(method), {
        method: method.verb.toUpperCase(),
        headers: { ...headersOf(method), "x-api-key": testKey, "content-type": "application/json" },
        ...(method.requestBody !== undefined && { body: JSON.stringify(example) }),
      });
      const said = z.record(z.string(), z.unknown()).parse(await reply.json());
      // The execution of the example is somebody else's.
      expect([name, reply.status, said]).toMatchObject([name, name === "GetExecutionResponse" ? 404 : 200, {}]);
      if (name !== "ExecuteWorkflow") {
        continue;
      }
      const told = method.responses["200"]?.content?.["application/json"]?.example;
      expect(told?.["execution_id"]).toMatch(/^[0-9a-f]{24}$/);
      expect({ ...said, execution_id: told?.["execution_id"] }).toEqual(told);
    }
  });

  test("says of each reply which of its members are always there", async () => {
    const { api, operations } = await readDescription();
    const headers = { "x-api-key": testKey, linked_account_id: "john@acme.io" };
    const execute = async (alias: string) => {
      const url = `${flowcall.url}/api/v1/workflow/${alias}/execute`;
      const body = JSON.stringify({ items: [1] });
      const own = { ...headers, prefer: "wait=20", "content-type": "application/json" };
      const reply = await fetch(url, { method: "POST", headers: own, body });
      return z.object({ execution_id: z.string() }).parse(await reply.json());
    };
    await execute("always-fails");
    const known: Readonly<Record<string, string>> = {
      ...(await execute("batch-notes")),
      node_id: "2",
      workflow: "batch-notes",
      version: "1",
      slug: "asana",
      account_id: "john@acme.io",
    };
    const tried: string[] = [];
    for (const { path, verb, operationId, responses } of operations) {
      if (verb !== "get") {
        continue;
      }
      const url = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => known[name] ?? "none");
      const reply = await fetch(flowcall.url + url, { headers });
      if (!reply.ok) {
        continue;
      }
      const [[type = "", { schema }] = ["", { schema: {} }]] = Object.entries(responses["200"]?.content ?? {});
      const text = await reply.text();
      const events = [...text.matchAll(/^data: (.*)$/gm)].map(([, data = ""]) => data);
      const messages = type === "application/json" ? [text] : events;
      expect(messages.length).toBeGreaterThan(0);
      for (const message of messages) {
        expect([operationId, ...differences(JSON.parse(message), schema, api)]).toEqual([operationId]);
      }
      tried.push(operationId);
    }
    expect(tried.length).toBeGreaterThan(12);
    const { ExecuteWorkflowResponse, Node } = api.components.schemas;
    expect(ExecuteWorkflowResponse?.required).toEqual(["execution_id"]);
    // What callers send is held to what is checked alone.
    expect(Node?.required).toBeUndefined();
  });
});

/** Where a value lacks what its schema says is there, or has what it does not know. */
function differences(value: unknown, { $ref, ...own }: Schema, api: Api, path = ""): readonly string[] {
  const schema: Schema = $ref === undefined ? own : (api.components.schemas[$ref.split("/").at(-1) ?? ""] ?? {});
  if (Array.isArray(value)) {
    return value.flatMap((item, index) => differences(item, schema.items ?? {}, api, `${path}[${index}]`));
  }
  const { properties, required = [] } = schema;
  if (value === null || typeof value !== "object" || properties === undefined) {
    return [];
  }
  const lacks = required.filter((name) => !Object.hasOwn(value, name));
  return [
    ...lacks.map((name) => `${path}.${name} is not there`),
    ...Object.entries(value).flatMap(([name, inner]) => {
      const property = properties[name];
      const place = `${path}.${name}`;
      return property === undefined ? [`${place} is not known`] : differences(inner, property, api, place);
    }),
  ];
}

/** The path of an operation's example. */
function urlOf({ path, parameters = [] }: { readonly path: string } & Pick<Operation, "parameters">): string {
  const given = parameters.filter(({ in: place }) => place === "path");
  return given.reduce((url, { name, example = "" }) => url.replace(`{${name}}`, String(example)), path);
}

function headersOf({ parameters = [] }: Pick<Operation, "parameters">): Record<string, string> {
  const given = parameters.filter(({ in: place, example }) => place === "header" && example !== undefined);
  return Object.fromEntries(given.map(({ name, example }) => [name, String(example)]));
}

/** Run inside of the page: chooses each method from the end of the one before, and says where it does not stand well. */
const lookThrough = `(async () => {
  const faults = [];
  const links = [...document.querySelectorAll("nav a")];
  for (const link of links) {
    scrollTo(0, document.body.scrollHeight);
    if (document.querySelector("header").getBoundingClientRect().top < 0) faults.push("the head is gone");
    const drawn = new Promise((done) => addEventListener("hashchange", () => requestAnimationFrame(done), { once: true }));
    link.click();
    await drawn;
    const heading = document.querySelector("main h2");
    const { top } = heading.getBoundingClientRect();
    const { scrollWidth } = document.documentElement;
    if (!link.textContent.endsWith(heading.textContent)) faults.push(link.textContent + " shows " + heading.textContent);
    if (top < 0 || top > 250) faults.push(heading.textContent + " begins at " + top);
    if (scrollWidth > innerWidth) faults.push(heading.textContent + " is " + scrollWidth + " wide");
  }
  if (links.length < 40) faults.push("there are " + links.length + " methods only");
  return { looked: links.length, faults };
})()`;

describe.skipIf(!isBrowserThere && process.env["CI"] === undefined)("the API page", () => {
  let browser: Browser;

  beforeAll(async () => {
    if (!isBrowserThere) {
      throw new Error(`There is no ${executablePath}: .ci/run installs Debian's chromium.`);
    }
    browser = await chromium.launch({
      executablePath,
      // The browser looks up no name, so that it reaches nothing but this machine.
      args: ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
    });
  });

  afterAll(() => browser?.close());

  /** A page that nobody has typed into, and what went wrong in it. */
  async function openPage(width: number) {
    const page = await browser.newPage({ viewport: { width, height: 900 } });
    const asked = new Set<string>();
    const problems: string[] = [];
    page.on("request", (request) => void asked.add(new URL(request.url()).origin));
    page.on("console", (message) => void (message.type() === "error" && problems.push(message.text())));
    page.on("pageerror", (error) => void problems.push(String(error)));
    await page.goto(`${flowcall.url}/docs`);
    await page.locator("nav a").first().waitFor({ state: "attached" });
    return { page, asked, problems };
  }

  const screenshots = process.env["TEST_SCREENSHOTS"];
  async function picture(page: Page, name: string): Promise<void> {
    if (screenshots !== undefined) {
      await page.screenshot({ path: `${screenshots}/${name}.png` });
    }
  }

  test("makes its synchronous call, keeps the key for the tab, says the same call elsewhere, and asks nobody but its server", async () => {
    const { page, asked, problems } = await openPage(1440);
    await page.getByRole("link", { name: "Execute workflow" }).click();
    await picture(page, "execute");
    await page.getByLabel("API key").fill(testKey);
    await page.reload();
    await page.getByRole("button", { name: "Send" }).click();
    const reply = page.locator("#reply[data-status]");
    await reply.waitFor();
    expect(await reply.textContent()).toMatch(/^200 after .*"new_note": "Sample task \(assigned to John Doe\)"/s);
    const programs = [
      ["curl", "bash"],
      ["TypeScript", process.execPath],
      ...(existsSync("/usr/bin/python3") ? [["Python", "/usr/bin/python3"]] : []),
    ] as const;
    for (const [name = "", program = ""] of programs) {
      await page.getByLabel(name).check();
      const sample = (await page.locator("#sample").textContent()) ?? "";
      expect(sample).not.toContain(testKey);
      const file = join(folder, name === "TypeScript" ? "sample.mts" : "sample");
      await writeFile(file, sample);
      const { stdout } = await run(program, [file], { env: { PATH: process.env["PATH"], KEY: testKey } });
      expect(stdout).toContain("Sample task (assigned to John Doe)");
    }
    await picture(page, "replied");
    // The next method is likely about the same execution.
    await page.getByRole("link", { name: "Watch execution" }).click();
    await page.getByRole("button", { name: "Send" }).click();
    await page.locator("#reply[data-status]").waitFor();
    const events = await page.locator("#reply summary").allTextContents();
    expect(events.map((text) => text.trim().split(/\s+/)[0])).toEqual([
      "accepted",
      "node_finished",
      "node_finished",
      "node_finished",
      "ended",
    ]);
    await picture(page, "watched");
    expect(asked).toEqual(new Set([flowcall.url]));
    expect(problems).toEqual([]);
    await page.close();
  });

  test.each([1440, 390])("shows each method from its beginning, finds them, and fits %i pixels", async (width) => {
    const { page, problems } = await openPage(width);
    const menu = page.getByRole("button", { name: "Methods" });
    const openList = async () => {
      if (await menu.isVisible()) {
        await menu.click();
      }
    };
    await picture(page, `first-${width}`);
    expect(await page.evaluate(lookThrough)).toEqual({ looked: expect.any(Number), faults: [] });
    await openList();
    await page.getByLabel("Search").fill("stop");
    await picture(page, `search-${width}`);
    await page.getByRole("link", { name: "Stop execution" }).click();
    await openList();
    await page.getByLabel("Search").fill("iteration");
    await page.getByRole("link", { name: "List iterations" }).click();
    // Values to choose from, and a path that says what is left to fill in.
    await openList();
    await page.getByLabel("Search").fill("list executions");
    await page.getByRole("link", { name: "List executions" }).click();
    expect(await page.locator('[id="query state"] option').allTextContents()).toContain("TIMED_OUT");
    await openList();
    await page.getByLabel("Search").fill("get draft");
    await page.getByRole("link", { name: "Get draft" }).click();
    expect(await page.locator("#sample").textContent()).toContain("/api/v1/workflow/{workflow}/draft");
    await page.getByRole("link", { name: "node kinds" }).click();
    await page.getByRole("heading", { name: "Node", exact: true }).waitFor();
    expect(await page.locator("main").textContent()).toContain(comments["flowcall.v1.Node.http"]);
    await page.getByText("its fields").first().click();
    await picture(page, `schema-${width}`);
    expect(problems).toEqual([]);
    await page.close();
  });
});
