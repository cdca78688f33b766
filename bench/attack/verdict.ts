import type { Measured } from "./measure.ts";
import { mebibytes } from "./watcher.ts";

export type Bounds = Readonly<Record<"p99Ms" | "p99VolumeMs" | "rssMiB" | "restMiB" | "leaseMs", number>>;

/** What has to hold for another organisation, whoever attacks. */
export const bounds: Bounds = {
  p99Ms: 250,
  /** Where plain volume fills a core. */
  p99VolumeMs: 1_000,
  rssMiB: 1_024,
  restMiB: 250,
  leaseMs: 2_000,
};

export type Row = Readonly<Record<string, string | number | undefined>>;

/** The numbers of one attack, and all that did not hold, in words; none where all did. */
export function judge(measured: Measured, must = bounds): { readonly row: Row; readonly breaches: readonly string[] } {
  const { during, quiet, watch, quietWatch, ends, died, isVolume } = measured;
  const { times } = during;
  const p99 = p99Of(during.times);
  const lost = during.lost.length + quiet.lost.length;
  const refused = during.refused.length + quiet.refused.length;
  const rss = mebibytes(Math.max(watch.rssPeakBytes, quietWatch.rssPeakBytes));
  const lease = Math.min(watch.leaseLeastMs, quietWatch.leaseLeastMs);
  const p99Max = isVolume ? must.p99VolumeMs : must.p99Ms;
  const breaches = [
    ...(died === undefined ? [] : [`ended by ${died} after ${seconds(measured.diedAfterMs)} s`]),
    ...(p99 > p99Max || times.length === 0 ? [`p99 ${p99} ms > ${p99Max}`] : []),
    ...(measured.answeredLate === 0 ? ["no call was answered in the last third of the attack"] : []),
    ...(lost > 0 ? [`${lost} lost (${during.lost[0] ?? quiet.lost[0]})`] : []),
    ...(refused > 0 ? [`${refused} refused (${during.refused[0] ?? quiet.refused[0]})`] : []),
    ...(ends !== undefined && ends.unknown > 0 ? [`${ends.unknown} OUTCOME_UNKNOWN`] : []),
    ...(ends !== undefined && ends.twice > 0 ? [`${ends.twice} sent twice`] : []),
    ...(ends !== undefined && ends.unfinished > 0 ? [`${ends.unfinished} executions have not ended`] : []),
    ...(ends !== undefined && ends.failed > ends.unknown ? [`${ends.failed} executions failed`] : []),
    ...(rss > must.rssMiB ? [`RSS ${rss} MiB`] : []),
    ...(died === undefined && mebibytes(measured.restBytes) > must.restMiB
      ? [`RSS ${mebibytes(measured.restBytes)} MiB after 60 s`]
      : []),
    ...(lease < must.leaseMs ? [`lease ${Math.round(lease)} ms`] : []),
  ];
  const row = {
    attack: measured.attack,
    x: measured.strength,
    p50: atShare(times, 0.5),
    p99,
    max: atShare(times, 1),
    lost,
    refused,
    unknown: ends?.unknown ?? "-",
    twice: ends?.twice ?? "-",
    alive: died === undefined ? "yes" : `dead ${seconds(measured.diedAfterMs)} s`,
    "RSS MiB": rss,
    "60 s after": died === undefined ? mebibytes(measured.restBytes) : "-",
    "Postgres MiB": mebibytes(Math.max(watch.postgresPeakBytes, quietWatch.postgresPeakBytes)),
    children: watch.childrenPeak,
    lease: Number.isFinite(lease) ? Math.round(lease) : "-",
    healthz: Math.round(watch.healthzMs),
    CPU: measured.cpuShare.toFixed(2),
    "Postgres' CPU": measured.postgresShare.toFixed(2),
    "others' CPU": measured.othersShare.toFixed(2),
    "baseline p99": p99Of(measured.baseline.times),
    "quiet p99": p99Of(quiet.times),
    verdict: breaches.length === 0 ? "holds" : "BREACH",
  };
  return { row, breaches };
}

/** The rows as a table of Markdown. */
export function tableOf(rows: readonly Row[]): string {
  const [first = {}] = rows;
  const head = Object.keys(first);
  const lines = [head, head.map(() => "---"), ...rows.map((row) => head.map((name) => String(row[name] ?? "")))];
  return `${lines.map((line) => `| ${line.join(" | ")} |`).join("\n")}\n`;
}

function p99Of(times: readonly number[]): number {
  return atShare(times, 0.99);
}

function atShare(times: readonly number[], share: number): number {
  const sorted = times.toSorted((left, right) => left - right);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
}

function seconds(ms: number | undefined): string {
  return ms === undefined ? "?" : (ms / 1_000).toFixed(1);
}
