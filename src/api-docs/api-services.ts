import type { DescService } from "@bufbuild/protobuf";
import { ApiKeyService } from "../gen/flowcall/v1/api_key_pb.ts";
import { AuditService } from "../gen/flowcall/v1/audit_pb.ts";
import { ConfigService } from "../gen/flowcall/v1/config_pb.ts";
import { ConnectionService } from "../gen/flowcall/v1/connection_pb.ts";
import { ExecutionService } from "../gen/flowcall/v1/execution_pb.ts";
import { ImportService } from "../gen/flowcall/v1/import_pb.ts";
import { IntegrationService } from "../gen/flowcall/v1/integration_pb.ts";
import { LinkedAccountService } from "../gen/flowcall/v1/linked_account_pb.ts";
import { PrincipalService } from "../gen/flowcall/v1/principal_pb.ts";
import { ScheduleService } from "../gen/flowcall/v1/schedule_pb.ts";
import { VariableService } from "../gen/flowcall/v1/variable_pb.ts";
import { WebhookService } from "../gen/flowcall/v1/webhook_pb.ts";
import { WorkflowService } from "../gen/flowcall/v1/workflow_pb.ts";

/** The services of the API, in the order of the API page. */
export const apiServices: readonly DescService[] = [
  ExecutionService,
  WorkflowService,
  ImportService,
  IntegrationService,
  LinkedAccountService,
  ApiKeyService,
  AuditService,
  ConfigService,
  ConnectionService,
  VariableService,
  PrincipalService,
  ScheduleService,
  WebhookService,
];
