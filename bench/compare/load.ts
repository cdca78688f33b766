// Calls one target as fast as it answers, or at a constant rate, from a process of its own. `runLoad` forks this file.

import { fork } from "node:child_process";
import { once } from "node:events";
import { callGrpc } from "./grpc-caller.ts";
import { callHttp } from "./http-caller.ts";

/** One call, as its bytes go out each time. */
export type Call = {
  readonly protocol: "http" | "grpc";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Of an HTTP call its JSON; of a gRPC call its framed message in base64. */
  readonly body: string;
};

export type Load = {
  readonly call: Call;
  /** Connections of HTTP/1.1, or streams of HTTP/2 over at most four connections. */
  readonly connections: number;
  readonly seconds: number;
  /** Calls a second whether answers come or not (an open loop). Absent: each connection calls again once it is answered. */
  readonly rate?: number;
};

export type LoadResult = {
  readonly calls: number;
  /** Calls that failed or were refused. */
  readonly bad: number;
  readonly seconds: number;
  /** In milliseconds; in an open loop from the moment at which the call was due. */
  readonly p50: number;
  readonly p99: number;
};

/** Makes a call on one lane: a connection, or a stream of one. Whether it succeeded. */
export type Lane = () => Promise<boolean>;

/** Runs a load in a process of its own. */
export async function runLoad(load: Load): Promise<LoadResult> {
  const child = fork(import.meta.filename, ["load"]);
  child.send(load);
  const result = await Promise.race([once(child, "message"), once(child, "exit")]);
  child.disconnect();
  const [measured] = result;
  if (typeof measured !== "object" || measured === null) {
    throw new Error(`the load generator ended with ${measured}`);
  }
  return measured;
}

async function answer(load: Load): Promise<LoadResult> {
  const { call, connections, seconds, rate } = load;
  const { lanes, close } = await (call.protocol === "grpc" ? callGrpc : callHttp)(call, connections);
  const times: number[] = [];
  let bad = 0;
  const one = async (lane: Lane, since: number) => {
    if (await lane()) {
      times.push(performance.now() - since);
    } else {
      bad += 1;
    }
  };
  const startTime = performance.now();
  const endTime = startTime + 1_000 * seconds;
  if (rate === undefined) {
    const callOn = async (lane: Lane) => {
      while (performance.now() < endTime) {
        await one(lane, performance.now());
      }
    };
    await Promise.all(lanes.map(callOn));
  } else {
    await callAtRate({ lanes, rate, startTime, endTime, one });
  }
  const took = (performance.now() - startTime) / 1_000;
  close();
  times.sort((left, right) => left - right);
  const quantile = (part: number) => times[Math.min(times.length - 1, Math.floor(part * times.length))] ?? Number.NaN;
  return { calls: times.length + bad, bad, seconds: took, p50: quantile(0.5), p99: quantile(0.99) };
}

type Rated = {
  readonly lanes: readonly Lane[];
  readonly rate: number;
  readonly startTime: number;
  readonly endTime: number;
  readonly one: (lane: Lane, since: number) => Promise<void>;
};

/** A call that finds no free lane waits for one, and its wait counts: a closed loop would hide it ("coordinated omission"). */
async function callAtRate({ lanes, rate, startTime, endTime, one }: Rated): Promise<void> {
  const free = [...lanes];
  const due: number[] = [];
  const underWay = new Set<Promise<void>>();
  const begin = () => {
    while (free.length > 0 && due.length > 0) {
      const lane = free.pop();
      const since = due.shift();
      if (lane === undefined || since === undefined) {
        return;
      }
      const calling = one(lane, since).then(() => {
        underWay.delete(calling);
        free.push(lane);
        begin();
      });
      underWay.add(calling);
    }
  };
  let next = startTime;
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const now = performance.now();
      for (; next <= now && next < endTime; next += 1_000 / rate) {
        due.push(next);
      }
      begin();
      if (now >= endTime) {
        clearInterval(timer);
        resolve();
      }
    }, 1);
  });
  while (underWay.size > 0) {
    await Promise.all(underWay);
  }
}

if (process.argv[2] === "load") {
  process.once("message", (load: Load) => {
    void answer(load).then((result) => process.send?.(result));
  });
  process.once("disconnect", () => process.exit());
}
