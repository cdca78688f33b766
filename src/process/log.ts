import { type Logger, pino, stdTimeFunctions } from "pino";
import type { Config } from "../config.ts";
import { logText } from "./log-text.ts";

/** The log of a process, on stderr: an object of JSON a line, or words for a person at a terminal. */
export function openLog({ logLevel, logFormat }: Pick<Config, "logLevel" | "logFormat">, isColored: boolean): Logger {
  const stderr = pino.destination(2);
  const options = {
    level: logLevel,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (level: string) => ({ level }) },
  };
  if (logFormat === "json") return pino(options, stderr);
  return pino(options, { write: (line) => void stderr.write(logText(line, isColored)) });
}
