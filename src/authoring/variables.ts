import { fieldsRefused } from "../domain/json/violations.ts";
import type { Limits } from "../domain/limits.ts";
import type { Principal } from "../domain/principal.ts";
import type { FieldViolation } from "../domain/request-error.ts";
import { secretCharsMin } from "../engine/secrets/redactor.ts";
import { isVariableHost } from "../engine/secrets/used-variables.ts";
import type { Sealed } from "../storage/tenants/connection-store.ts";
import type { VariableRecord, VariableStore } from "../storage/tenants/variable-store.ts";
import { hintOf } from "./secret-hint.ts";

export type VariablesOptions = {
  readonly variables: VariableStore;
  /** Encrypts the value of one variable: it opens for no other. Refuses with ENCRYPTION_KEYS_MISSING. */
  readonly seal: (key: { readonly environmentId: string; readonly name: string }, value: string) => Sealed;
  readonly limits: Limits;
};

export type PutVariable = {
  readonly name: string;
  readonly value: string;
  readonly isSecret: boolean;
  readonly hosts: readonly string[];
  readonly expectedRevisions?: readonly number[];
};

/** Takes variables. Secret ones are encrypted before they are stored, and are never shown again. */
export class Variables {
  readonly #options: VariablesOptions;

  constructor(options: VariablesOptions) {
    this.#options = options;
  }

  /** Refuses with VALIDATION_ERROR, and all that is wrong, what could not be sent or not be kept out of outputs. */
  async put(principal: Principal, { value, isSecret, ...variable }: PutVariable): Promise<VariableRecord> {
    const { variables, seal, limits } = this.#options;
    const violations = violationsOf({ value, isSecret, ...variable });
    if (violations.length > 0) {
      throw fieldsRefused(violations);
    }
    const { environmentId } = principal;
    const kept = isSecret ? seal({ environmentId, name: variable.name }, value) : { value };
    const hint = isSecret ? hintOf(value) : "";
    return await variables.put(principal, { ...variable, ...kept, hint }, limits.variablesMax);
  }
}

function violationsOf({ value, isSecret, hosts }: PutVariable): readonly FieldViolation[] {
  const violations: FieldViolation[] = [];
  if (isSecret && value.trim().length < secretCharsMin) {
    const description = `has fewer than ${secretCharsMin} characters, too few to be kept out of what nodes give`;
    violations.push({ field: "value", description });
  }
  if (isSecret && hosts.length === 0) {
    violations.push({
      field: "hosts",
      description: "is empty. Name the hosts that the secret may be sent to, or * for any",
    });
  }
  if (!isSecret && hosts.length > 0) {
    violations.push({ field: "hosts", description: "is for secret variables alone" });
  }
  for (const [index, host] of hosts.entries()) {
    if (!isVariableHost(host)) {
      const description = "is not a host. Write one as api.example.com, all below one as *.example.com, or * for any";
      violations.push({ field: `hosts[${index}]`, description });
    }
  }
  return violations;
}
