import { type WorkflowDefinition, WorkflowDefinitionSchema } from "../../gen/flowcall/v1/definition_pb.ts";
import { readMessage, writeMessage } from "./json-structs.ts";

/** Parses a definition that is kept. What an older release stored may hold fields that this one does not know any more. */
export function parseDefinition(text: string): WorkflowDefinition {
  return readMessage(WorkflowDefinitionSchema, JSON.parse(text), { ignoreUnknownFields: true });
}

/** Writes a definition as it is kept. */
export function definitionText(definition: WorkflowDefinition): string {
  return JSON.stringify(writeMessage(WorkflowDefinitionSchema, definition));
}
