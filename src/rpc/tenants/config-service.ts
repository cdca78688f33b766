import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Configurations } from "../../authoring/configurations.ts";
import type { Call } from "../../domain/http/call.ts";
import { type AccessScope, isAccessible } from "../../domain/principal.ts";
import {
  ConfigSchema,
  ConfigService,
  type DeleteConfigRequest,
  DeleteConfigResponseSchema,
  type GetConfigRequest,
  type ListConfigsRequest,
  ListConfigsResponseSchema,
  type PutConfigRequest,
} from "../../gen/flowcall/v1/config_pb.ts";
import type { ConfigRecord, ConfigStore, ConfigValues } from "../../storage/tenants/config-store.ts";
import { principalOf } from "../chain/handler-call.ts";
import { type Implementation, implement, type ServiceHandlers } from "../chain/handler-chain.ts";
import { nextOf, pageOf } from "../chain/page-request.ts";
import { etagOf, expectedOf } from "../chain/revision-etag.ts";

export type ConfigServiceOptions = {
  readonly stores: { readonly configs: ConfigStore };
  readonly configurations: Configurations;
};

/** Setting and looking up the values of declared fields. */
export function createConfigService(options: ConfigServiceOptions): Implementation {
  return implement(ConfigService, new ConfigHandlers(options));
}

class ConfigHandlers implements ServiceHandlers<typeof ConfigService> {
  readonly #options: ConfigServiceOptions;

  constructor(options: ConfigServiceOptions) {
    this.#options = options;
  }

  async putConfig(request: PutConfigRequest, call: Call) {
    const { applicationFields = {}, workflowFields } = request;
    const values = { applicationFields, workflowFields };
    const configuration = { ...keyOf(request), ...values, ...expectedOf(request) };
    const record = await this.#options.configurations.put(principalOf(call), configuration);
    return configMessage(record, record);
  }

  async listConfigs(request: ListConfigsRequest, call: Call) {
    const page = await this.#options.stores.configs.list(principalOf(call), request.accountId, pageOf(request));
    return create(ListConfigsResponseSchema, {
      configs: page.configs.map((config) => configMessage(config)),
      ...nextOf(page),
    });
  }

  async getConfig(request: GetConfigRequest, call: Call) {
    const principal = principalOf(call);
    const config = await this.#options.stores.configs.get(principal, keyOf(request));
    return configMessage(config, within(principal, config));
  }

  async deleteConfig(request: DeleteConfigRequest, call: Call) {
    await this.#options.stores.configs.delete(principalOf(call), keyOf(request));
    return create(DeleteConfigResponseSchema);
  }
}

type Key = { readonly accountId: string; readonly slug: string; readonly configId?: string | undefined };

function keyOf({ accountId, slug, configId = accountId }: Key) {
  return { accountId, slug, configId };
}

/** The values of a configuration without those of workflows that the caller cannot see. */
function within(access: AccessScope, { applicationFields, workflowFields }: ConfigValues): ConfigValues {
  const shown = Object.entries(workflowFields).filter(([workflowId]) => isAccessible(access, { workflowId }));
  return { applicationFields, workflowFields: Object.fromEntries(shown) };
}

function configMessage(record: ConfigRecord, values?: ConfigValues) {
  const { accountId, slug, configId, revision, createTime, updateTime } = record;
  return create(ConfigSchema, {
    accountId,
    slug,
    configId,
    ...(values !== undefined && {
      applicationFields: values.applicationFields,
      workflowFields: values.workflowFields,
    }),
    etag: etagOf(revision),
    createTime: timestampFromDate(createTime),
    updateTime: timestampFromDate(updateTime),
  });
}
