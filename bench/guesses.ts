// What a guess tells by the time that its refusal takes: of a key that is wrong at its beginning or at its end, unknown or
// revoked, and of an id that exists in another environment or nowhere. Run it with:
//
//   node bench/guesses.ts [part of the name of what is to be compared]
//
// The service is a process of its own on a Postgres of its own in a folder under the system's temporary one. Two kinds of
// guesses are sent in turns, on one connection, the order of each two drawn; all is measured in one run, and so is what
// two kinds that are the same differ by. It prints for each two kinds both medians in milliseconds, their ratio and
// difference, where at most 0.2 ms is the aim, and the p of a Mann–Whitney test, where more than 0.01 is: less says that
// the two can be told apart by so many guesses. It fails where a guess is answered, or where the answers differ in status,
// header names or body.

import { randomUUID } from "node:crypto";
import pg from "pg";
import { Client } from "undici";
import { newId } from "../src/domain/id.ts";
import { keyTextOf } from "../src/domain/keys/api-key.ts";
import { KeyChecksums, type KeySecret } from "../src/domain/keys/key-checksum.ts";
import { key, median, serve, startPostgres, stopServer } from "./service.ts";

const keyGuesses = 20_000;
/** Of each kind; all together are 100,000. */
const idGuesses = 7_143;
const warmUps = 300;

const foreignKey = "pk00000000-0000-4000-8000-000000000002";
const foreignCount = 500;
const linkedAccount = { linked_account_id: "john@acme.io" };

type Guess = {
  readonly path: string;
  readonly key: string;
  /** What of the answer repeats the guess. */
  readonly word?: string;
};

type Pair = { readonly name: string; readonly count: number; readonly left: () => Guess; readonly right: () => Guess };

if (process.argv[2] === "serve") {
  await serve();
} else {
  await measure();
}

async function measure(): Promise<void> {
  const postgres = await startPostgres();
  const db = new pg.Client(postgres.connection);
  await db.connect();
  const server = await postgres.startServer(import.meta.filename, ["serve"], {
    FLOWCALL_PRODUCTION_KEY: foreignKey,
    FLOWCALL_KEY_LOOKUPS_PER_ADDRESS: "1000000",
    FLOWCALL_REFUSED_KEYS_PER_ADDRESS: "1000000",
  });
  const client = new Client(server.url);
  try {
    const pairs = [...(await keyPairs(db)), ...(await idPairs(client))];
    await db.query("vacuum analyze");
    const chosen = pairs.filter(({ name }) => name.includes(process.argv[2] ?? ""));
    for (const pair of chosen) {
      process.stdout.write(`${JSON.stringify(await compare(client, pair))}\n`);
    }
  } finally {
    await client.close();
    await stopServer(server);
    await db.end();
    await postgres.stop();
  }
}

async function keyPairs(db: pg.Client): Promise<readonly Pair[]> {
  const { rows: secrets } = await db.query<KeySecret>("select id, secret from key_secret");
  const checksums = new KeyChecksums(() => secrets);
  const made = checksums.newKey("test");
  const given = () => `tk${randomUUID()}`;
  const revoked = await makeRevoked(db, given);
  const madeRevoked = await makeRevoked(db, () => checksums.newKey("test"));

  const path = "/api/v1/workflow";
  const digits = () => newId().slice(-8);
  const kinds = {
    unknown: given,
    wrongFirst: () => `tk${digits()}${key.slice(10)}`,
    wrongLast: () => `${key.slice(0, -8)}${digits()}`,
    revoked: () => revoked.pop() ?? "",
    forgedFirst: () => `tk${digits()}${made.slice(10)}`,
    forgedLast: () => `${made.slice(0, -8)}${digits()}`,
    madeRevoked: () => madeRevoked.pop() ?? "",
  };
  // All are there before, each is sent once, and what the sender does is the same for all.
  const pool = (kind: keyof typeof kinds) => {
    const guesses = Array.from({ length: keyGuesses + warmUps }, () => ({ path, key: kinds[kind]() }));
    return () => guesses.pop() ?? { path, key: "" };
  };
  const [first, last] = [pool("wrongFirst")(), pool("wrongLast")()];
  const pairs: Readonly<Record<string, readonly [left: () => Guess, right: () => Guess]>> = {
    "unknown, unknown (the same)": [pool("unknown"), pool("unknown")],
    "wrong at first, at last": [pool("wrongFirst"), pool("wrongLast")],
    "wrong at first, at last, again and again": [() => first, () => last],
    "unknown, revoked": [pool("unknown"), pool("revoked")],
    "checksum wrong at first, at last": [pool("forgedFirst"), pool("forgedLast")],
    // Whoever holds a text that was made here learns that it was: nobody can make up one that passes.
    "checksum wrong, made here and revoked": [pool("forgedFirst"), pool("madeRevoked")],
  };
  return Object.entries(pairs).map(([name, [left, right]]) => ({
    name: `keys: ${name}`,
    count: keyGuesses,
    left,
    right,
  }));
}

async function makeRevoked(db: pg.Client, invent: () => string): Promise<string[]> {
  const texts = Array.from({ length: keyGuesses + warmUps }, invent);
  await db.query(
    `insert into api_key (id, environment_id, hash, prefix, name, scopes, revoke_time)
       select made.id, environment.id, made.hash, 'tk0000', 'revoked', '{2}', now()
         from unnest($1::text[], $2::text[]) as made (id, hash), environment where kind = 'test'`,
    [texts.map(newId), texts.map((text) => keyTextOf(text).hash)],
  );
  return texts;
}

/** For each kind of thing those of another environment, and those that are nowhere. */
async function idPairs(client: Client): Promise<readonly Pair[]> {
  const executions: string[] = [];
  const apiKeys: string[] = [];
  const accounts: string[] = [];
  for (let index = 0; index < foreignCount; index += 1) {
    const path = "/api/v1/workflow/create-task/execute";
    executions.push((await make(client, "POST", path, {})).execution_id);
    apiKeys.push((await make(client, "POST", "/api/v1/api-key", { name: "foreign", scopes: ["read"] })).api_key.id);
    accounts.push(newId());
    await make(client, "PUT", `/api/v1/linked-account/${accounts.at(-1)}`, {});
  }
  const { workflows } = await make(client, "GET", "/api/v1/workflow");
  const toExecution = (id: string) => `/api/v1/execution/${id}`;
  const kinds: Readonly<Record<string, readonly [ids: readonly string[], path: (id: string) => string]>> = {
    executions: [executions, toExecution],
    responses: [executions, (id) => `${toExecution(id)}/response`],
    "node runs": [executions, (id) => `${toExecution(id)}/node/1`],
    "events of executions": [executions, (id) => `${toExecution(id)}/events`],
    workflows: [workflows.map(({ id }: { id: string }) => id), (id) => `/api/v1/workflow/${id}`],
    "linked accounts": [accounts, (id) => `/api/v1/linked-account/${id}`],
    "API keys": [apiKeys, (id) => `/api/v1/api-key/${id}`],
  };
  // As many that are nowhere, each sent as often, so that nothing but their being there is a difference.
  const pool = (ids: readonly string[], path: (id: string) => string) => {
    const guesses = ids.map((id) => ({ path: path(id), key, word: id }));
    return () => guesses[Math.floor(Math.random() * guesses.length)] ?? { path: "", key };
  };
  const pairs = Object.entries(kinds).map(([name, [ids, path]]) => ({
    name: `${name}: foreign, nowhere`,
    left: pool(ids, path),
    right: pool(ids.map(newId), path),
  }));
  pairs.unshift({
    name: "executions: nowhere, nowhere (the same)",
    left: pool(executions.map(newId), toExecution),
    right: pool(executions.map(newId), toExecution),
  });
  return pairs.map((pair) => ({ ...pair, count: idGuesses }));
}

/** Makes or lists what belongs to the other environment. */
async function make(client: Client, method: "GET" | "POST" | "PUT", path: string, body?: object) {
  const { statusCode, body: answer } = await client.request({
    method,
    path,
    headers: { "x-api-key": foreignKey, "content-type": "application/json", ...linkedAccount },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const message = Object(await answer.json());
  if (statusCode >= 300) {
    throw new Error(`${path} was answered ${statusCode}: ${JSON.stringify(message)}`);
  }
  return message;
}

async function compare(client: Client, { name, count, left, right }: Pair) {
  const sides = [
    { guess: left, times: new Float64Array(count) },
    { guess: right, times: new Float64Array(count) },
  ];
  let answer: string | undefined;
  for (let turn = -warmUps; turn < count; turn += 1) {
    for (const { guess, times } of Math.random() < 0.5 ? sides : sides.toReversed()) {
      const told = await send(client, guess());
      if (turn >= 0) {
        times[turn] = told.ms;
      }
      answer ??= told.answer;
      if (told.answer !== answer) {
        throw new Error(`${name}: ${told.answer} is told apart from ${answer}`);
      }
    }
  }
  const [one, other] = sides.map(({ times }) => [...times]);
  if (one === undefined || other === undefined) {
    throw new Error("there are two sides");
  }
  const medians = [median(one), median(other)] as const;
  return {
    name,
    guesses: 2 * count,
    medianMs: medians.map((ms) => round(ms)),
    ratio: round(medians[1] / medians[0]),
    differenceMs: round(medians[1] - medians[0]),
    p: round(mannWhitney(one, other)),
  };
}

/** Asks, and answers all of the refusal that two guesses must have in common. */
async function send(client: Client, { path, key: text, word = text }: Guess) {
  const headers = { "x-api-key": text, ...linkedAccount };
  const startTime = performance.now();
  const { statusCode, headers: told, body } = await client.request({ method: "GET", path, headers });
  const json = await body.text();
  const ms = performance.now() - startTime;
  if (statusCode !== 401 && statusCode !== 404) {
    throw new Error(`${path} was answered ${statusCode}: ${json}`);
  }
  const common = json.replace(/"request_id":"[^"]*"/, "").replaceAll(word, "…");
  return { ms, answer: [statusCode, ...Object.keys(told).sort(), json.length, common].join(" ") };
}

/** The two-sided p of the hypothesis that both are drawn from the same, by the normal approximation. */
function mannWhitney(one: readonly number[], other: readonly number[]): number {
  const all = [...one.map((value) => ({ value, isOne: true })), ...other.map((value) => ({ value, isOne: false }))];
  all.sort((left, right) => left.value - right.value);
  let rankSum = 0;
  for (let index = 0; index < all.length; ) {
    let end = index;
    while (all[end]?.value === all[index]?.value && end < all.length) {
      end += 1;
    }
    const rank = (index + 1 + end) / 2;
    for (; index < end; index += 1) {
      if (all[index]?.isOne === true) {
        rankSum += rank;
      }
    }
  }
  const [n, m] = [one.length, other.length];
  const u = rankSum - (n * (n + 1)) / 2;
  const z = Math.abs(u - (n * m) / 2) / Math.sqrt((n * m * (n + m + 1)) / 12);
  return 2 * upperTail(z);
}

/** The share of a normal distribution beyond z, to within 1.2e-7 of itself (Numerical Recipes, erfcc). */
function upperTail(z: number): number {
  const x = z / Math.SQRT2;
  const t = 1 / (1 + x / 2);
  const coefficients = [
    -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223,
    0.17087277,
  ];
  const series = coefficients.reduceRight((sum, coefficient) => coefficient + t * sum, 0);
  return (t * Math.exp(-x * x + series)) / 2;
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}
