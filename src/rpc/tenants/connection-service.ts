import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Connections } from "../../authoring/connections.ts";
import type { Call } from "../../domain/http/call.ts";
import {
  ConnectionSchema,
  ConnectionService,
  type DeleteConnectionRequest,
  DeleteConnectionResponseSchema,
  type GetConnectionRequest,
  type ListConnectionsRequest,
  ListConnectionsResponseSchema,
  type PutConnectionRequest,
} from "../../gen/flowcall/v1/connection_pb.ts";
import type { ConnectionRecord, ConnectionStore } from "../../storage/tenants/connection-store.ts";
import { principalOf } from "../chain/handler-call.ts";
import { type Implementation, implement, type ServiceHandlers } from "../chain/handler-chain.ts";
import { nextOf, pageOf } from "../chain/page-request.ts";
import { etagOf, expectedOf } from "../chain/revision-etag.ts";

export type ConnectionServiceOptions = {
  readonly stores: { readonly connections: ConnectionStore };
  readonly connections: Connections;
};

/** Taking credentials, and showing that they are there. */
export function createConnectionService(options: ConnectionServiceOptions): Implementation {
  return implement(ConnectionService, new ConnectionHandlers(options));
}

class ConnectionHandlers implements ServiceHandlers<typeof ConnectionService> {
  readonly #options: ConnectionServiceOptions;

  constructor(options: ConnectionServiceOptions) {
    this.#options = options;
  }

  async putConnection(request: PutConnectionRequest, call: Call) {
    const { accountId, slug, credentials } = request;
    const connection = { accountId, slug, credentials, ...expectedOf(request) };
    return connectionMessage(await this.#options.connections.put(principalOf(call), connection));
  }

  async listConnections(request: ListConnectionsRequest, call: Call) {
    const page = await this.#options.stores.connections.list(principalOf(call), request.accountId, pageOf(request));
    return create(ListConnectionsResponseSchema, {
      connections: page.connections.map(connectionMessage),
      ...nextOf(page),
    });
  }

  async getConnection({ accountId, slug }: GetConnectionRequest, call: Call) {
    return connectionMessage(await this.#options.stores.connections.get(principalOf(call), { accountId, slug }));
  }

  async deleteConnection({ accountId, slug }: DeleteConnectionRequest, call: Call) {
    await this.#options.stores.connections.delete(principalOf(call), { accountId, slug });
    return create(DeleteConnectionResponseSchema);
  }
}

function connectionMessage({ accountId, slug, hints, revision, createTime, updateTime }: ConnectionRecord) {
  return create(ConnectionSchema, {
    accountId,
    slug,
    credentials: Object.entries(hints)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, hint]) => ({ name, ...(hint !== "" && { hint: `…${hint}` }) })),
    etag: etagOf(revision),
    createTime: timestampFromDate(createTime),
    updateTime: timestampFromDate(updateTime),
  });
}
