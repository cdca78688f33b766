/**
 * The command line as a process that stays: a page of examples starts it some twenty times, and starting Node is most of
 * what each would cost. Each request is a command line, in this process's own folder; the status is 200 and its exit code.
 */
import { createServer } from "node:http";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { runCli } from "../../src/cli/run-cli.ts";

const server = createServer(async (request, response) => {
  const form = new URLSearchParams(await text(request));
  const key = form.get("FLOWCALL_API_KEY");
  const stdout: string[] = [];
  const exitCode = await runCli({
    words: form.getAll("word"),
    environment: { ...process.env, ...(key && { FLOWCALL_API_KEY: key }) },
    stdin: Readable.from([form.get("stdin") ?? ""]),
    stdout: { write: (chunk) => stdout.push(chunk) },
    stderr: process.stderr,
    signal: new AbortController().signal,
  });
  response.writeHead(200 + exitCode).end(stdout.join(""));
});

server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  process.stdout.write(`${typeof address === "object" ? address?.port : ""}\n`);
});
