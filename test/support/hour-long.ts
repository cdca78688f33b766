import type { JsonObject } from "@bufbuild/protobuf";

/** Waits for an hour, each time for too short a while to sleep through: it holds its slot. */
export const hourInSlot: JsonObject = {
  nodes: [
    { id: "1", start: { api_call: {} } },
    { id: "2", group: { count: "3600", concurrency: 1 } },
    { id: "3", group_id: "2", delay: { seconds: "0.9" } },
  ],
  edges: [
    { source: "1", target: "2" },
    { source: "2", target: "3", port: "each" },
  ],
};

/** Sleeps for an hour, and holds no slot. */
export const hourAsleep: JsonObject = {
  nodes: [
    { id: "1", start: { api_call: {} } },
    { id: "2", delay: { seconds: "3600" } },
  ],
  edges: [{ source: "1", target: "2" }],
};
