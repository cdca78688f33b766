import { type LimitTable, mebibyte } from "./limit.ts";

/** One setting for payloads and outputs. */
const keysMax = {
  env: "FLOWCALL_OBJECT_KEYS",
  min: 1,
  max: 1_000_000,
  default: 10_000,
  unit: "count",
  text: "Members of one object, in payloads, node outputs and responses.",
} as const;

/** Limits of requests, of JSON values and of workflow definitions. */
export const jsonLimits = {
  payload: {
    bytesMax: {
      env: "FLOWCALL_PAYLOAD_BYTES",
      min: 1_024,
      max: 64 * mebibyte,
      default: mebibyte,
      unit: "bytes",
      text: "UTF-8 bytes of a payload as JSON text.",
    },
    valuesMax: {
      env: "FLOWCALL_PAYLOAD_VALUES",
      min: 1,
      max: 5_000_000,
      default: 50_000,
      unit: "count",
      text: "JSON values in a payload, the root included.",
    },
    depthMax: {
      env: "FLOWCALL_PAYLOAD_DEPTH",
      min: 1,
      max: 24,
      default: 24,
      unit: "count",
      text: "Nested objects and arrays in a payload; the root counts 1.",
    },
    keysMax,
  },
  output: {
    bytesMax: {
      env: "FLOWCALL_OUTPUT_BYTES",
      min: 1_024,
      max: 64 * mebibyte,
      default: mebibyte,
      unit: "bytes",
      text: "UTF-8 bytes of a node's output, and of a response, as JSON text.",
    },
    valuesMax: {
      env: "FLOWCALL_OUTPUT_VALUES",
      min: 1,
      max: 5_000_000,
      default: 50_000,
      unit: "count",
      text: "JSON values in a node's output and in a response, the root included.",
    },
    depthMax: {
      env: "FLOWCALL_OUTPUT_DEPTH",
      min: 1,
      max: 32,
      default: 32,
      unit: "count",
      text: "Nested objects and arrays in a node's output and in a response; the root counts 1.",
    },
    keysMax,
  },
  /** Attributes of a linked account, and values of fields. */
  settings: {
    bytesMax: { default: 64 * 1024, unit: "bytes", text: "UTF-8 bytes of the attributes of a linked account." },
    valuesMax: { default: 5_000, unit: "count", text: "JSON values in the attributes of a linked account." },
    depthMax: { default: 24, unit: "count", text: "Nested objects and arrays in the attributes of a linked account." },
    keysMax: { default: 1_000, unit: "count", text: "Members of one object in the attributes of a linked account." },
  },
  transportBytesMax: {
    env: "FLOWCALL_TRANSPORT_BYTES",
    min: 4_096,
    max: 256 * mebibyte,
    default: 4 * mebibyte,
    unit: "bytes",
    text: "Bytes of the body of one request, decompressed, on every protocol.",
  },
  openMessageBytesMax: {
    default: 1_024,
    unit: "bytes",
    text: "Bytes of one message to a service that needs no key (gRPC health and reflection), decompressed.",
  },
  eventHeaderBytesMax: {
    env: "FLOWCALL_EVENT_HEADER_BYTES",
    min: 0,
    max: 65_536,
    default: 8 * 1024,
    unit: "bytes",
    text: "Bytes of the request headers that an event keeps.",
  },
  graphNodesMax: {
    env: "FLOWCALL_GRAPH_NODES",
    min: 1,
    max: 500,
    default: 500,
    unit: "count",
    text: "Nodes of a workflow.",
  },
  /** They are checked before anything of the definition is compiled, also for published versions. */
  definition: {
    bytesMax: {
      env: "FLOWCALL_DEFINITION_BYTES",
      min: 1_024,
      max: 16 * mebibyte,
      default: mebibyte,
      unit: "bytes",
      text: "Bytes of a definition. It applies to published versions too.",
    },
    queryMax: {
      env: "FLOWCALL_DEFINITION_QUERY",
      min: 1_024,
      max: mebibyte,
      default: 64 * 1024,
      unit: "characters",
      text: "Characters of one JSONata query in a definition.",
    },
    textMax: {
      env: "FLOWCALL_DEFINITION_TEXT",
      min: 1_024,
      max: 4 * mebibyte,
      default: 256 * 1024,
      unit: "characters",
      text: "Characters of any other text in a definition.",
    },
    templatesMax: {
      env: "FLOWCALL_DEFINITION_TEMPLATES",
      min: 100,
      max: 100_000,
      default: 5_000,
      unit: "count",
      text: "Templates in one definition.",
    },
    regexesMax: {
      env: "FLOWCALL_DEFINITION_REGEXES",
      min: 1,
      max: 10_000,
      default: 100,
      unit: "count",
      text: "Regular expressions in one definition.",
    },
    problemsMax: {
      default: 100,
      unit: "count",
      text: "Errors of a definition that are reported, and warnings; one more says how many there are besides.",
    },
  },
} as const satisfies LimitTable;
