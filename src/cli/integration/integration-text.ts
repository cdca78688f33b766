import type { Integration } from "../../gen/flowcall/v1/integration_pb.ts";
import { printable } from "../said/output.ts";

/** An integration on a line. */
export function integrationText({ slug, name, fields }: Integration): string {
  const told = fields.length === 0 ? "" : `  fields: ${fields.map((field) => field.name).join(", ")}`;
  return printable(`${slug}  ${name}${told}`);
}
