import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { PutEndpoint, WebhookEndpoints } from "../../authoring/webhook-endpoints.ts";
import { isTerminal, type TerminalState } from "../../domain/execution.ts";
import type { Call } from "../../domain/http/call.ts";
import type { WebhookDelivery, WebhookEndpoint, WebhookSettings } from "../../domain/webhooks/webhook.ts";
import {
  type DeleteWebhookEndpointRequest,
  DeleteWebhookEndpointResponseSchema,
  type GetWebhookEndpointRequest,
  type ListWebhookDeliveriesRequest,
  ListWebhookDeliveriesResponseSchema,
  type ListWebhookEndpointsRequest,
  ListWebhookEndpointsResponseSchema,
  type PutWebhookEndpointRequest,
  PutWebhookEndpointResponseSchema,
  type RedeliverWebhookRequest,
  type RotateWebhookSecretRequest,
  RotateWebhookSecretResponseSchema,
  WebhookDeliverySchema,
  WebhookEndpoint_Method,
  WebhookEndpointSchema,
  WebhookService,
} from "../../gen/flowcall/v1/webhook_pb.ts";
import type { DeliveryStore } from "../../storage/webhooks/delivery-store.ts";
import type { EndpointStore } from "../../storage/webhooks/endpoint-store.ts";
import { accessScopeOf, principalOf } from "../chain/handler-call.ts";
import { type Implementation, implement, type ServiceHandlers } from "../chain/handler-chain.ts";
import { nextOf, pageOf } from "../chain/page-request.ts";
import { etagOf, expectedOf } from "../chain/revision-etag.ts";
import { sources, states, wordOf } from "../executions/execution-message.ts";

export type WebhookServiceOptions = {
  readonly stores: { readonly endpoints: EndpointStore; readonly deliveries: DeliveryStore };
  readonly webhookEndpoints: WebhookEndpoints;
};

/** Setting who is told of the ends of executions. */
export function createWebhookService(options: WebhookServiceOptions): Implementation {
  return implement(WebhookService, new WebhookHandlers(options));
}

class WebhookHandlers implements ServiceHandlers<typeof WebhookService> {
  readonly #options: WebhookServiceOptions;

  constructor(options: WebhookServiceOptions) {
    this.#options = options;
  }

  async putWebhookEndpoint(request: PutWebhookEndpointRequest, call: Call) {
    const { endpoint, secret } = await this.#options.webhookEndpoints.put(principalOf(call), endpointOf(request));
    return create(PutWebhookEndpointResponseSchema, {
      endpoint: endpointMessage(endpoint),
      ...(secret !== undefined && { secret }),
    });
  }

  async getWebhookEndpoint({ endpointId }: GetWebhookEndpointRequest, call: Call) {
    return endpointMessage(await this.#options.stores.endpoints.get(accessScopeOf(call), endpointId));
  }

  async listWebhookEndpoints(request: ListWebhookEndpointsRequest, call: Call) {
    const page = await this.#options.stores.endpoints.list(accessScopeOf(call), pageOf(request));
    return create(ListWebhookEndpointsResponseSchema, {
      endpoints: page.endpoints.map(endpointMessage),
      ...nextOf(page),
    });
  }

  async deleteWebhookEndpoint({ endpointId }: DeleteWebhookEndpointRequest, call: Call) {
    await this.#options.stores.endpoints.delete(principalOf(call), endpointId);
    return create(DeleteWebhookEndpointResponseSchema);
  }

  async rotateWebhookSecret({ endpointId }: RotateWebhookSecretRequest, call: Call) {
    const secret = await this.#options.webhookEndpoints.rotate(principalOf(call), endpointId);
    return create(RotateWebhookSecretResponseSchema, { secret });
  }

  async listWebhookDeliveries(request: ListWebhookDeliveriesRequest, call: Call) {
    const { endpoints, deliveries } = this.#options.stores;
    const access = accessScopeOf(call);
    const { id } = await endpoints.get(access, request.endpointId);
    const page = await deliveries.list(access, id, pageOf(request));
    return create(ListWebhookDeliveriesResponseSchema, {
      deliveries: page.deliveries.map(deliveryMessage),
      ...nextOf(page),
    });
  }

  async redeliverWebhook({ endpointId, deliveryId }: RedeliverWebhookRequest, call: Call) {
    return deliveryMessage(
      await this.#options.stores.deliveries.redeliver(accessScopeOf(call), endpointId, deliveryId),
    );
  }
}

const methods: Readonly<Record<WebhookSettings["method"], WebhookEndpoint_Method>> = {
  POST: WebhookEndpoint_Method.POST,
  PUT: WebhookEndpoint_Method.PUT,
  PATCH: WebhookEndpoint_Method.PATCH,
};

function endpointOf(request: PutWebhookEndpointRequest): PutEndpoint {
  const { endpointId: id, url, workflowIds, slugs, method, headers, isEnabled = true } = request;
  const { includesResponse = false, hasCobaltSignature = false } = request;
  const found = request.sources.flatMap((source) => wordOf(sources, source) ?? []);
  return {
    ...{ id, url, includesResponse, hasCobaltSignature, headers, isEnabled },
    method: wordOf(methods, method) ?? "POST",
    states: request.states.flatMap((state): readonly TerminalState[] => {
      const word = wordOf(states, state);
      return word !== undefined && isTerminal(word) ? [word] : [];
    }),
    ...(workflowIds.length > 0 && { workflowIds }),
    ...(slugs.length > 0 && { slugs }),
    ...(found.length > 0 && { sources: found }),
    ...expectedOf(request),
  };
}

function endpointMessage(endpoint: WebhookEndpoint) {
  const { id, url, includesResponse, hasCobaltSignature, headerNames, isEnabled, disableReason } = endpoint;
  return create(WebhookEndpointSchema, {
    ...{ id, url, includesResponse, hasCobaltSignature, isEnabled },
    headerNames: [...headerNames],
    states: endpoint.states.map((state) => states[state]),
    workflowIds: [...(endpoint.workflowIds ?? [])],
    slugs: [...(endpoint.slugs ?? [])],
    sources: (endpoint.sources ?? []).map((source) => sources[source]),
    method: methods[endpoint.method],
    ...(disableReason !== undefined && { disableReason }),
    etag: etagOf(endpoint.revision),
    createTime: timestampFromDate(endpoint.createTime),
    updateTime: timestampFromDate(endpoint.updateTime),
  });
}

function deliveryMessage(delivery: WebhookDelivery) {
  const { id, endpointId, executionId, event, attempts, isDelivered, dueTime, status, error, answer, endTime } =
    delivery;
  return create(WebhookDeliverySchema, {
    ...{ id, endpointId, executionId, event, attempts, isDelivered },
    ...(dueTime && { nextTime: timestampFromDate(dueTime) }),
    ...(status !== undefined && { status }),
    ...(error !== undefined && { error }),
    ...(answer !== undefined && { answer }),
    createTime: timestampFromDate(delivery.createTime),
    ...(endTime && { endTime: timestampFromDate(endTime) }),
  });
}
