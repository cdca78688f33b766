import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Variables } from "../../authoring/variables.ts";
import type { Call } from "../../domain/http/call.ts";
import {
  type DeleteVariableRequest,
  DeleteVariableResponseSchema,
  type ListVariablesRequest,
  ListVariablesResponseSchema,
  type PutVariableRequest,
  VariableSchema,
  VariableService,
} from "../../gen/flowcall/v1/variable_pb.ts";
import type { VariableRecord, VariableStore } from "../../storage/tenants/variable-store.ts";
import { principalOf } from "../chain/handler-call.ts";
import { type Implementation, implement, type ServiceHandlers } from "../chain/handler-chain.ts";
import { nextOf, pageOf } from "../chain/page-request.ts";
import { etagOf, expectedOf } from "../chain/revision-etag.ts";

export type VariableServiceOptions = {
  readonly stores: { readonly variables: VariableStore };
  readonly variables: Variables;
};

/** Taking variables, and showing those that are no secrets. */
export function createVariableService(options: VariableServiceOptions): Implementation {
  return implement(VariableService, new VariableHandlers(options));
}

class VariableHandlers implements ServiceHandlers<typeof VariableService> {
  readonly #options: VariableServiceOptions;

  constructor(options: VariableServiceOptions) {
    this.#options = options;
  }

  async putVariable(request: PutVariableRequest, call: Call) {
    const { name, value, isSecret = true, hosts } = request;
    const variable = { name, value, isSecret, hosts, ...expectedOf(request) };
    return variableMessage(await this.#options.variables.put(principalOf(call), variable));
  }

  async listVariables(request: ListVariablesRequest, call: Call) {
    const page = await this.#options.stores.variables.list(principalOf(call).environmentId, pageOf(request));
    return create(ListVariablesResponseSchema, { variables: page.variables.map(variableMessage), ...nextOf(page) });
  }

  async deleteVariable({ name }: DeleteVariableRequest, call: Call) {
    await this.#options.stores.variables.delete(principalOf(call), name);
    return create(DeleteVariableResponseSchema);
  }
}

function variableMessage({ name, value, hint, hosts, revision, createTime, updateTime }: VariableRecord) {
  return create(VariableSchema, {
    name,
    isSecret: value === undefined,
    ...(value !== undefined && { value }),
    ...(hint !== "" && { hint: `…${hint}` }),
    hosts: [...hosts],
    etag: etagOf(revision),
    createTime: timestampFromDate(createTime),
    updateTime: timestampFromDate(updateTime),
  });
}
