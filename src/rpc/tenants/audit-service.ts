import { create } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AuditAction, AuditEvent, AuditFilter } from "../../domain/audit.ts";
import type { Call } from "../../domain/http/call.ts";
import {
  AuditEvent_Action,
  AuditEventSchema,
  AuditService,
  type ListAuditEventsRequest,
  ListAuditEventsResponseSchema,
} from "../../gen/flowcall/v1/audit_pb.ts";
import type { AuditStore } from "../../storage/tenants/audit-store.ts";
import { principalOf } from "../chain/handler-call.ts";
import { type Implementation, implement } from "../chain/handler-chain.ts";
import { nextOf, pageOf } from "../chain/page-request.ts";
import { wordOf } from "../executions/execution-message.ts";

/** The audit log of an environment, whole: no restricted key has the scope that reads it. */
export function createAuditService({ audit }: { readonly audit: AuditStore }): Implementation {
  return implement(AuditService, {
    listAuditEvents: async (request, call) => {
      const page = await audit.list(filterOf(request, call), pageOf(request));
      return create(ListAuditEventsResponseSchema, {
        auditEvents: page.auditEvents.map(eventMessage),
        ...nextOf(page),
      });
    },
  });
}

const actions: Readonly<Record<AuditAction, AuditEvent_Action>> = {
  CREATE: AuditEvent_Action.CREATE,
  UPDATE: AuditEvent_Action.UPDATE,
  DELETE: AuditEvent_Action.DELETE,
  SAVE_DRAFT: AuditEvent_Action.SAVE_DRAFT,
  PUBLISH: AuditEvent_Action.PUBLISH,
  UNPUBLISH: AuditEvent_Action.UNPUBLISH,
  RESTORE: AuditEvent_Action.RESTORE,
  ROTATE: AuditEvent_Action.ROTATE,
  REVOKE: AuditEvent_Action.REVOKE,
};

function filterOf(request: ListAuditEventsRequest, call: Call): AuditFilter {
  const { resource, keyId, createdSince, createdBefore } = request;
  const action = wordOf(actions, request.action);
  return {
    environmentId: principalOf(call).environmentId,
    ...(resource !== undefined && { resource }),
    ...(action !== undefined && { action }),
    ...(keyId !== undefined && { keyId }),
    ...(createdSince !== undefined && { createdSince: timestampDate(createdSince) }),
    ...(createdBefore !== undefined && { createdBefore: timestampDate(createdBefore) }),
  };
}

function eventMessage({ id, keyId, action, resource, createTime }: AuditEvent) {
  return create(AuditEventSchema, {
    id,
    keyId,
    action: actions[action],
    resource,
    createTime: timestampFromDate(createTime),
  });
}
