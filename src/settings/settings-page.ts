import { dayMs, hourMs, type Limit, mebibyte, rowsOf } from "../domain/limits/limit.ts";
import { limitTable } from "../domain/limits.ts";
import { serverLimitTable } from "../server/limits/server-limits.ts";
import { processSettings } from "./process-settings.ts";

/** The text of docs/settings.md, generated from the tables of settings. */
export function settingsPage(): string {
  return `# Settings

Environment variables, read once at start. A wrong value, or a variable that does not exist, stops the start with every
problem named. For each variable with a secret, marked 🔒, \`NAME_FILE\` may name a file that holds it, as Docker and
Kubernetes mount secrets. A limit that counts for each process is divided where several [workers](operating.md#several-workers)
serve one installation, if its line says so. This page is generated from the tables of settings: \`npm run generate\` writes it.

## The process

| variable | default | meaning |
|---|---|---|
${Object.entries(processSettings)
  .map(([name, row]) => `| \`${name}\`${"isSecret" in row ? " 🔒" : ""} | ${row.default} | ${row.text} |`)
  .join("\n")}

## Limits of executions, definitions and tenants

| variable | default | bounds | meaning |
|---|---|---|---|
${limitRows(rowsOf(limitTable))}

## Limits of connections and requests

| variable | default | bounds | meaning |
|---|---|---|---|
${limitRows(rowsOf(serverLimitTable))}
`;
}

function limitRows(limits: readonly Limit[]): string {
  const rows = limits.flatMap((limit) => {
    const { env, min = 0, max = 0, unit, text, part } = limit;
    if (env === undefined) {
      return [];
    }
    const byDefault = limit.defaultText ?? quantityText(limit.default, unit);
    return [
      `| \`${env}\` | ${byDefault} | ${quantityText(min, unit)} to ${quantityText(max, unit)} | ${text}${part === undefined ? "" : " Divided among workers."} |`,
    ];
  });
  // Two limits may share a variable.
  return [...new Set(rows)].join("\n");
}

function quantityText(value: number, unit: Limit["unit"]): string {
  switch (unit) {
    case "count":
      return numberText(value);
    case "characters":
      return `${numberText(value)} characters`;
    case "ms":
      return `${numberText(value)} ms${value < hourMs ? "" : ` (${hoursText(value)})`}`;
    case "hours":
      return `\`${hoursText(value)}\``;
    case "MiB":
      return `${numberText(value)} MiB`;
    case "bytes":
      return bytesText(value);
  }
}

function hoursText(ms: number): string {
  return ms % dayMs === 0 ? `${ms / dayMs}d` : `${ms / hourMs}h`;
}

function bytesText(bytes: number): string {
  const plain = `${numberText(bytes)} bytes`;
  if (bytes >= mebibyte && bytes % mebibyte === 0) {
    return `${plain} (${numberText(bytes / mebibyte)} MiB)`;
  }
  return bytes > 0 && bytes % 1024 === 0 ? `${plain} (${numberText(bytes / 1024)} KiB)` : plain;
}

function numberText(value: number): string {
  return value.toLocaleString("en-US");
}
