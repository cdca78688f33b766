import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { defaultLimits } from "../src/domain/limits.ts";
import { ExecutionService } from "../src/gen/flowcall/v1/execution_pb.ts";
import { defaultServerLimits } from "../src/server/limits/server-limits.ts";
import { protocolsOf } from "./api/protocols.ts";
import { watchProtocolsOf } from "./api/watch-protocols.ts";
import { type Flowcall, putWorkflow, startFlowcall, testKey } from "./support/flowcall.ts";
import { freePort } from "./support/free-port.ts";
import { hourAsleep } from "./support/hour-long.ts";
import { isNginxLeftOut, type Nginx, nginxFile, startNginx } from "./support/nginx.ts";

const account = { linked_account_id: "john@acme.io" };

let flowcall: Flowcall;
let address: string;
let nginx: Nginx | undefined;

beforeAll(async () => {
  flowcall = await startFlowcall();
  address = new URL(flowcall.url).host;
});

afterEach(async () => {
  await nginx?.stop();
  nginx = undefined;
});

afterAll(async () => {
  await flowcall?.stop();
});

/** nginx in front of another server, which it asks first, and of Flowcall. */
async function startBehind(other: string): Promise<string> {
  nginx = await startNginx([other, address]);
  return nginx.url;
}

/** A server in Flowcall's place that does one thing to all requests. Answers how many there were. */
async function startOther(receive: RequestListener) {
  let requests = 0;
  const server = createServer(async (request, response) => {
    requests += 1;
    await request.toArray();
    receive(request, response);
  }).listen(await freePort(), "127.0.0.1");
  await once(server, "listening");
  const bound = server.address();
  return {
    host: `127.0.0.1:${typeof bound === "object" ? bound?.port : ""}`,
    requests: () => requests,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function executionCount(): Promise<number> {
  const { rows } = await flowcall.database.query("select count(*)::int as count from execution");
  return Number(rows[0]?.["count"]);
}

function execute(url: string, headers: Readonly<Record<string, string>> = {}, body = "{}"): Promise<Response> {
  return fetch(`${url}/api/v1/workflow/create-task/execute`, {
    method: "POST",
    headers: { "x-api-key": testKey, "content-type": "application/json", ...account, ...headers },
    body,
  });
}

describe.skipIf(isNginxLeftOut)("behind nginx, by the documented file", () => {
  test("a call is answered over each protocol", async () => {
    const url = await startBehind(address);
    for (const { name, call } of protocolsOf(url)) {
      const { message } = await call({
        method: ExecutionService.method.executeWorkflow,
        fields: { workflow: "create-task", ...account, sync_execution: true, payload: {} },
        key: testKey,
      });
      expect(message, name).toMatchObject({ return_value: { success: "true" } });
      const refused = await call({
        method: ExecutionService.method.executeWorkflow,
        fields: { workflow: "create-task", linked_account_id: "nobody", payload: {} },
        key: testKey,
      });
      expect(refused.reason, name).toBe("INVALID_LINKED_ACCOUNT_ID");
    }
  });

  test("events come at once over each protocol", async () => {
    const url = await startBehind(address);
    await putWorkflow(flowcall.url, { alias: "hour-long", definition: hourAsleep });
    const reply = await fetch(`${url}/api/v1/workflow/hour-long/execute`, {
      method: "POST",
      headers: { "x-api-key": testKey, ...account },
    });
    const { execution_id } = Object(await reply.json());
    for (const { name, watch } of watchProtocolsOf(url)) {
      const events = watch({ fields: { execution_id }, key: testKey });
      expect((await events.next()).value, name).toHaveProperty("accepted");
      await events.return(undefined);
    }
  });

  test("what a process that is gone does not get goes to another one, on every path", async () => {
    const url = await startBehind(`127.0.0.1:${await freePort()}`);
    for (const { name, call } of protocolsOf(url)) {
      const { message } = await call({
        method: ExecutionService.method.executeWorkflow,
        fields: { workflow: "create-task", ...account, sync_execution: true, payload: {} },
        key: testKey,
      });
      expect(message, name).toMatchObject({ return_value: { success: "true" } });
    }
  });

  const faults: Readonly<Record<string, { readonly receive: RequestListener; readonly status: number }>> = {
    "answers 503": {
      receive: (_, response) => response.writeHead(503, { "retry-after": "1" }).end(),
      status: 503,
    },
    "cuts the connection": { receive: (request) => request.socket.destroy(), status: 502 },
  };
  test.each(Object.entries(faults))(
    "a call that a process %s goes to another one with a key, and to none without",
    async (_, { receive, status }) => {
      const other = await startOther(receive);
      try {
        const keyed = await execute(await startBehind(other.host), { "idempotency-key": `key-${status}` });
        expect([keyed.status, other.requests()]).toEqual([200, 1]);
        await nginx?.stop();

        const before = await executionCount();
        const bare = await execute(await startBehind(other.host));
        expect([bare.status, other.requests()]).toEqual([status, 2]);
        if (status === 503) {
          expect(bare.headers.get("retry-after")).toBe("1");
        }
        expect(await executionCount()).toBe(before);
        await nginx?.stop();

        const read = await fetch(`${await startBehind(other.host)}/api/v1/execution`, {
          headers: { "x-api-key": testKey },
        });
        expect([read.status, other.requests()]).toEqual([200, 3]);
      } finally {
        other.stop();
      }
    },
  );

  test("requests have an id, the caller's where it has one, and are refused in Flowcall's words", async () => {
    const url = await startBehind(address);
    const named = await execute(url, { "x-request-id": "mine" });
    expect(named.headers.get("x-request-id")).toBe("mine");
    expect((await execute(url)).headers.get("x-request-id")).toMatch(/^[0-9a-f]{32}$/);
    const large = await execute(url, {}, JSON.stringify({ text: "x".repeat(defaultLimits.payload.bytesMax) }));
    expect([large.status, Object(await large.json()).error_code]).toEqual([413, "PAYLOAD_TOO_LARGE"]);
  });

  test("its bounds are on the right side of Flowcall's", async () => {
    const text = await readFile(nginxFile, "utf8");
    const values = (name: string) =>
      [...text.matchAll(new RegExp(`^ *${name} +(\\d+)[sm];`, "gm"))].map(([, value]) => Number(value));
    for (const name of ["proxy_read_timeout", "grpc_read_timeout"]) {
      expect(Math.min(...values(name)), name).toBeGreaterThan(defaultLimits.syncWaitMs / 1_000);
    }
    expect(Math.max(...values("keepalive_timeout"))).toBeLessThan(defaultServerLimits.idleMs / 1_000);
    expect(Math.min(...values("client_max_body_size")) * 1024 ** 2).toBeGreaterThan(defaultLimits.transportBytesMax);
  });
});
