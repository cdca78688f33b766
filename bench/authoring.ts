// What writing and looking up cost: validating and publishing a workflow of 500 nodes, beside one of 10, and a page of
// workflows and of executions where there are 100,000, beside one where there are 100. Run it with:
//
//   node bench/authoring.ts [rounds]
//
// It asks over REST, one request at a time and what is compared in turns, and prints medians and their ratios. The aims:
// at most 100 ms for validating and publishing 500 nodes together, at most 1.5 times for the pages.

import type { JsonObject } from "@bufbuild/protobuf";
import pg from "pg";
import { Client } from "undici";
import { type BenchPostgres, type BenchServer, key, median, serve, startPostgres, stopServer } from "./service.ts";

const headers = { "x-api-key": key, "content-type": "application/json" };
const sizes = { few: 10, many: 500 } as const;
const rows = { few: 100, many: 100_000 } as const;
const warmups = 20;

type Method = "GET" | "POST" | "PUT";
type Size = keyof typeof sizes;
type Ask = (method: Method, path: string, body?: JsonObject) => Promise<JsonObject>;

function asking(client: Client): Ask {
  return async (method, path, body) => {
    const sent = method === "GET" ? {} : { body: JSON.stringify(body ?? {}) };
    const reply = await client.request({ method, path: `/api/v1${path}`, headers, ...sent });
    const text = await reply.body.text();
    if (reply.statusCode !== 200) {
      throw new Error(text);
    }
    // Every reply of these calls is an object.
    return JSON.parse(text) as JsonObject;
  };
}

/** Start, then HTTP nodes, Transforms and Rules in turns, each of which reads what came before it, then a Response. */
function definitionOf(size: number): JsonObject {
  const kinds = [
    (id: number) => ({
      http: {
        method: "POST",
        url: `https://api.example.com/task/{{event.body.id}}/${id}`,
        headers: [{ key: "x-step", value: `{{node.${id - 1}.body.step}}` }],
        json: `{"step": ${id}, "note": "{{event.body.note}} of {{node.${id - 1}.body}}", "all": {{event.body}}}`,
      },
    }),
    (id: number) => ({
      transform: {
        query: `{ "step": ${id}, "sum": $sum({{node.${id - 1}.body.items}}[price > ${id}].(price * quantity)) }`,
      },
    }),
    (id: number) => ({
      rule: { comparisons: [{ left: `{{node.${id - 1}.body.sum}}`, operator: "gt", right: String(id) }] },
    }),
  ];
  const between = Array.from({ length: size - 2 }, (_, index) => {
    const id = index + 2;
    return { id: String(id), name: `Step ${id}`, ...kinds[index % kinds.length]?.(id) };
  });
  const start = { id: "1", name: "Start", start: { api_call: { payload: { id: 1, note: "x" } } } };
  const nodes = [start, ...between, { id: String(size), name: "Response", response: { data: "{{event.body.id}}" } }];
  const edges = nodes.slice(1).map(({ id }, index) => {
    const source = nodes[index] ?? start;
    return { source: source.id, target: id, ...("rule" in source && { port: "true" }) };
  });
  return { nodes, edges };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

async function measureWorkflows(ask: Ask, rounds: number): Promise<void> {
  const times: Record<Size, Record<"validate" | "publish", number[]>> = {
    few: { validate: [], publish: [] },
    many: { validate: [], publish: [] },
  };
  const workflows: Record<Size, string> = { few: "", many: "" };
  for (const size of ["few", "many"] as const) {
    const { id } = await ask("POST", "/workflow", { slug: "asana", name: size, alias: `bench-${size}` });
    workflows[size] = `/workflow/${id}`;
    await ask("PUT", `${workflows[size]}/draft`, definitionOf(sizes[size]));
  }
  for (let round = -warmups; round < rounds; round += 1) {
    for (const size of ["few", "many"] as const) {
      const validate = await timed(() => ask("POST", `${workflows[size]}/draft/validate`));
      const publish = await timed(() => ask("POST", `${workflows[size]}/publish`));
      if (round < 0) {
        continue;
      }
      times[size].validate.push(validate);
      times[size].publish.push(publish);
    }
  }
  const together: Record<Size, number> = { few: 0, many: 0 };
  for (const size of ["few", "many"] as const) {
    const { validate, publish } = times[size];
    together[size] = median(validate.map((ms, index) => ms + (publish[index] ?? 0)));
    const parts = `validate ${median(validate).toFixed(1)} ms, publish ${median(publish).toFixed(1)} ms`;
    print(`${sizes[size]} nodes: ${parts}, together ${together[size].toFixed(1)} ms`);
  }
  print(`500 nodes beside 10: ${(together.many / together.few).toFixed(1)} times`);
}

async function fill(postgres: BenchPostgres, count: number): Promise<void> {
  const client = new pg.Client(postgres.connection);
  await client.connect();
  const place = `(select environment_id, id, slug from workflow where alias = 'create-task'
    and environment_id = (select id from environment where kind = 'test')) as template`;
  await client.query(`
    insert into workflow (environment_id, id, slug, name, alias, create_time)
    select environment_id, lpad(to_hex(number), 24, '0'), slug, 'Workflow ' || number, 'w' || number,
      now() - make_interval(secs => ${count} - number)
    from ${place}, generate_series(1, ${count}) as number`);
  await client.query(`
    insert into execution (environment_id, id, workflow_id, version, linked_account_id, config_id, type, source, payload,
      headers, state, response, create_time, end_time)
    select environment_id, lpad(to_hex(number), 24, '0'), id, 1, 'john@acme.io', 'john@acme.io', 'ASYNC', 'API_CALL',
      '{"Task Name": "Sample task"}', '{}', 'COMPLETED', '{"success": "true"}',
      now() - make_interval(secs => ${count} - number), now()
    from ${place}, generate_series(1, ${count}) as number`);
  await client.end();
}

async function measurePages(all: Readonly<Record<Size, Ask>>, rounds: number): Promise<void> {
  for (const [name, path, items] of [
    ["ListWorkflows", "/workflow", "workflows"],
    ["ListExecutions", "/execution", "executions"],
  ] as const) {
    const times: Record<Size, number[]> = { few: [], many: [] };
    for (let round = -warmups; round < rounds * 5; round += 1) {
      for (const size of round % 2 === 0 ? (["few", "many"] as const) : (["many", "few"] as const)) {
        let page: JsonObject = {};
        const ms = await timed(async () => (page = await all[size]("GET", path)));
        if (!Array.isArray(page[items]) || page[items].length !== 50) {
          throw new Error("the page is not full");
        }
        if (round >= 0) {
          times[size].push(ms);
        }
      }
    }
    const [few, many] = [median(times.few), median(times.many)];
    const figures = `${few.toFixed(2)} ms of ${rows.few}, ${many.toFixed(2)} ms of ${rows.many}`;
    print(`a page of ${name}: ${figures}, ${(many / few).toFixed(2)} times`);
  }
}

type Place = {
  readonly postgres: BenchPostgres;
  readonly server: BenchServer;
  readonly client: Client;
  readonly ask: Ask;
};

async function open(): Promise<Place> {
  const postgres = await startPostgres();
  const server = await postgres.startServer(import.meta.filename, ["serve"]);
  const client = new Client(server.url);
  return { postgres, server, client, ask: asking(client) };
}

async function close({ postgres, server, client }: Place): Promise<void> {
  await client.close();
  await stopServer(server);
  await postgres.stop();
}

async function measure(rounds = 60): Promise<void> {
  const places: Place[] = [];
  try {
    const few = await open();
    places.push(few);
    await measureWorkflows(few.ask, rounds);
    const many = await open();
    places.push(many);
    await fill(few.postgres, rows.few);
    await fill(many.postgres, rows.many);
    await measurePages({ few: few.ask, many: many.ask }, rounds);
  } finally {
    for (const place of places) {
      await close(place);
    }
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

if (process.argv[2] === "serve") {
  await serve();
} else {
  await measure(process.argv[2] === undefined ? undefined : Number(process.argv[2]));
}
