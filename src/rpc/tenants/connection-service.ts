import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { checkJson } from "../../domain/json/json-check.ts";
import type { Limits } from "../../domain/limits.ts";
import {
  ConnectionSchema,
  ConnectionService,
  DeleteConnectionResponseSchema,
  ListConnectionsResponseSchema,
} from "../../gen/flowcall/v1/connection_pb.ts";
import { sealCredentials } from "../../scheduler/encryption/credentials.ts";
import type { Sealing } from "../../scheduler/encryption/sealing.ts";
import type { ConnectionRecord, ConnectionStore } from "../../storage/tenants/connection-store.ts";
import { type Implementation, implement } from "../chain/handler-chain.ts";
import { nextOf, pageOf } from "../chain/page-request.ts";
import { principalOf, reachOf } from "../chain/principal-of.ts";
import { etagOf, expectedOf } from "../chain/revision-etag.ts";

export type ConnectionServiceOptions = {
  readonly connections: ConnectionStore;
  readonly sealing: Sealing;
  readonly limits: Limits;
};

/** Taking credentials, and showing that they are there. */
export function createConnectionService({ connections, sealing, limits }: ConnectionServiceOptions): Implementation {
  return implement(ConnectionService, {
    putConnection: async ({ accountId, slug, credentials, etag }, call) => {
      const actor = principalOf(call);
      checkJson(credentials, { name: "credentials", limits: limits.settings });
      const owner = { environmentId: actor.environmentId, accountId, slug };
      const record = await connections.put(actor, {
        accountId,
        slug,
        ...sealCredentials(sealing, owner, credentials),
        hints: Object.fromEntries(Object.entries(credentials).map(([name, value]) => [name, hintOf(value)])),
        ...expectedOf({ etag }),
      });
      return connectionMessage(record);
    },

    listConnections: async (request, call) => {
      const page = await connections.list(reachOf(call), request.accountId, pageOf(request));
      return create(ListConnectionsResponseSchema, {
        connections: page.connections.map(connectionMessage),
        ...nextOf(page),
      });
    },

    getConnection: async ({ accountId, slug }, call) =>
      connectionMessage(await connections.get(reachOf(call), { accountId, slug })),

    deleteConnection: async ({ accountId, slug }, call) => {
      await connections.delete(principalOf(call), { accountId, slug });
      return create(DeleteConnectionResponseSchema);
    },
  });
}

/** How long a credential must be for its end to give nothing away, and how much of it is told then. */
const hintedMin = 20;
const hintLength = 4;

function hintOf(value: string): string {
  return value.length < hintedMin ? "" : value.slice(-hintLength);
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
