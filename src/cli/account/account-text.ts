import type { JsonObject } from "@bufbuild/protobuf";
import { member } from "../execution/execution-text.ts";
import { printable } from "../output/output.ts";

/** An account as one line. */
export function accountText(account: JsonObject): string {
  const name = member(account, "name");
  const words = [member(account, "account_id") ?? "", name ?? "", JSON.stringify(account["attributes"] ?? {})];
  return printable(words.filter((word) => word !== "").join("  "));
}
