import { styleText } from "node:util";
import { type Logger, pino, stdTimeFunctions } from "pino";
import { z } from "zod";
import type { Config } from "../config.ts";
import { LogSink } from "./log-sink.ts";

/** The log of the process, on stderr: JSON lines, or text for a person at a terminal. */
export function openLog({ logLevel, logFormat }: Pick<Config, "logLevel" | "logFormat">, isColored: boolean): Logger {
  const sink = new LogSink(process.stderr);
  const options = {
    level: logLevel,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (level: string) => ({ level }) },
  };
  const log =
    logFormat === "json"
      ? pino(options, sink)
      : pino(options, { write: (line) => sink.write(logText(line, isColored)) });
  sink.onRelief((lines) => log.warn({ lines }, "lines of the log were left out, since nobody took them"));
  return log;
}

const lineSchema = z.looseObject({ level: z.string(), time: z.string(), msg: z.string().default("") });
const errorSchema = z.looseObject({ message: z.string(), stack: z.string().optional() });

const colors = { debug: "gray", info: "cyan", warn: "yellow", error: "red", fatal: "red" } as const;

/** Formats a JSON line of the log for people: time of day, level, message, other fields as `name=value`, error stack. */
function logText(json: string, isColored: boolean): string {
  const { level, time, msg, err, ...rest } = lineSchema.parse(JSON.parse(json));
  const paint = (style: Parameters<typeof styleText>[0], text: string) =>
    isColored ? styleText(style, text, { validateStream: false }) : text;
  const color = Object.entries(colors).find(([name]) => name === level)?.[1] ?? "cyan";
  const error = errorSchema.safeParse(err).data;
  const pairs = Object.entries(rest).map(([name, value]) => `${name}=${valueText(value)}`);
  const head = [paint("gray", timeOfDay(time)), paint(color, level.padEnd(5)), printable(msg)].join("  ");
  const tail = pairs.length === 0 ? "" : paint("gray", `  ${pairs.join(" ")}`);
  const lines = (error?.stack ?? error?.message ?? "").split("\n").map(printable);
  const stack = error === undefined ? "" : `\n${paint("gray", lines.join("\n"))}`;
  return `${head}${tail}${stack}\n`;
}

/** In the local time zone. */
function timeOfDay(time: string): string {
  const date = new Date(time);
  const digits = (value: number, count = 2) => String(value).padStart(count, "0");
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => digits(part)).join(":");
  return `${clock}.${digits(date.getMilliseconds(), 3)}`;
}

/** A single word as it is, anything else as JSON. */
function valueText(value: unknown): string {
  return printable(typeof value === "string" && /^\S+$/.test(value) ? value : JSON.stringify(value));
}

/** Escapes control characters against terminal escape and log injection: a message may quote what a client has sent. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (control) => `\\x${control.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
