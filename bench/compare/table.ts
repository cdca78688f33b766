import { kinds, medianOf, type Row } from "./measure.ts";
import type { Target } from "./target.ts";

/** Prints the medians of all rounds as a table in Markdown, and what each target is. */
export function printTable(targets: readonly Target[], rows: readonly Row[]): void {
  const lines = [
    "| call | connections | target | a second | × echo | p50 ms | p99 ms | CPU µs a call | × echo | RSS MiB |",
    "|---|---|---|---|---|---|---|---|---|---|",
  ];
  const counts = [...new Set(rows.map(({ connections }) => connections))];
  for (const kind of kinds) {
    for (const connections of counts) {
      const echo = { target: "echo", kind: kind === "grpc" ? kind : ("sync" as const), connections };
      for (const { name } of targets) {
        const of = { target: name, kind, connections };
        const rate = medianOf(rows, of, "rate");
        if (Number.isNaN(rate)) {
          continue;
        }
        const cpu = medianOf(rows, of, "cpuUs");
        const cells = [
          ...[kind, connections, name, `${rate.toFixed(0)}${failuresOf(rows, of)}`],
          (rate / medianOf(rows, echo, "rate")).toFixed(3),
          ...[medianOf(rows, of, "p50").toFixed(2), medianOf(rows, of, "p99").toFixed(2)],
          ...[cpu.toFixed(0), (cpu / medianOf(rows, echo, "cpuUs")).toFixed(1), medianOf(rows, of, "rssMiB")],
        ];
        lines.push(`| ${cells.join(" | ")} |`);
      }
    }
  }
  process.stdout.write(`${lines.join("\n")}\n\n${targets.map(({ name, about }) => `${name}: ${about}`).join("\n")}\n`);
}

function failuresOf(rows: readonly Row[], of: Pick<Row, "target" | "kind" | "connections">): string {
  const failed = rows
    .filter((row) => row.target === of.target && row.kind === of.kind && row.connections === of.connections)
    .reduce((sum, { bad }) => sum + bad, 0);
  return failed > 0 ? ` (${failed} FAILED)` : "";
}
