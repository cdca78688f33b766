// The floor that the services are compared with, in a process of its own: JSON over `node:http`, bytes over grpc-js.

import { createServer } from "node:http";
import { Server, ServerCredentials } from "@grpc/grpc-js";

const http = createServer((request, response) => {
  let text = "";
  request.setEncoding("utf8");
  request.on("data", (chunk: string) => {
    text += chunk;
  });
  request.on("end", () => {
    const note = JSON.parse(text)["Task Name"];
    const reply = JSON.stringify({
      return_value: { success: "true", new_note: note },
      execution_id: "0123456789abcdef01234567",
    });
    response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(reply) });
    response.end(reply);
  });
});

const same = (bytes: Buffer) => bytes;
const grpc = new Server();
grpc.addService(
  {
    ExecuteWorkflow: {
      path: "/flowcall.v1.ExecutionService/ExecuteWorkflow",
      requestStream: false,
      responseStream: false,
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    },
  },
  {
    ExecuteWorkflow: (call: { request: Buffer }, reply: (error: null, bytes: Buffer) => void) =>
      reply(null, call.request),
  },
);

http.listen(0, "127.0.0.1", () => {
  grpc.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
    const address = http.address();
    if (error !== null || address === null || typeof address === "string") {
      throw error ?? new Error("the echo does not listen");
    }
    process.send?.({ http: address.port, grpc: port });
  });
});
process.once("disconnect", () => process.exit());
