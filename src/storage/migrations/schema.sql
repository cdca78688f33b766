CREATE OR REPLACE FUNCTION public.flowcall_keep_response()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
    begin
      new.response := old.response;
      new.status_code := old.status_code;
      return new;
    end
  $function$;

CREATE OR REPLACE FUNCTION public.flowcall_refuse_change()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
    begin
      raise exception 'a row of % is final', tg_table_name using errcode = 'integrity_constraint_violation';
    end
  $function$;

create table api_key (
  id text collate "C" not null,
  environment_id text collate "C" not null,
  hash text collate "C" not null,
  prefix text not null,
  name text not null,
  scopes integer[] not null,
  create_time timestamp(3) with time zone default now() not null,
  expire_time timestamp(3) with time zone,
  revoke_time timestamp(3) with time zone,
  previous_hash text collate "C",
  previous_expire_time timestamp(3) with time zone,
  workflow_ids text[],
  linked_account_ids text[],
  constraint api_key_check CHECK (((previous_hash IS NULL) = (previous_expire_time IS NULL))),
  constraint api_key_check1 CHECK ((((workflow_ids IS NULL) AND (linked_account_ids IS NULL)) OR (NOT (scopes && ARRAY[3, 4])))),
  constraint api_key_environment_id_fkey FOREIGN KEY (environment_id) REFERENCES environment(id),
  constraint api_key_hash_check CHECK ((hash ~ '^[0-9a-f]{64}$'::text)),
  constraint api_key_hash_key UNIQUE (hash),
  constraint api_key_id_check CHECK ((id ~ '^[0-9a-f]{24}$'::text)),
  constraint api_key_linked_account_ids_check CHECK ((cardinality(linked_account_ids) > 0)),
  constraint api_key_pkey PRIMARY KEY (id),
  constraint api_key_previous_hash_check CHECK ((previous_hash ~ '^[0-9a-f]{64}$'::text)),
  constraint api_key_workflow_ids_check CHECK ((cardinality(workflow_ids) > 0))
);

create table audit_event (
  environment_id text collate "C" not null,
  id text collate "C" not null,
  key_id text collate "C" not null,
  action text not null,
  resource text not null,
  create_time timestamp(3) with time zone default now() not null,
  constraint audit_event_environment_id_fkey FOREIGN KEY (environment_id) REFERENCES environment(id),
  constraint audit_event_id_check CHECK ((id ~ '^[0-9a-f]{24}$'::text)),
  constraint audit_event_pkey PRIMARY KEY (id)
);

create table child_execution (
  parent_id text collate "C" not null,
  name text collate "C" not null,
  environment_id text collate "C" not null,
  child_id text collate "C" not null,
  root_id text collate "C" not null,
  mode text not null,
  depth integer not null,
  detached integer not null,
  is_ended boolean default false not null,
  constraint child_execution_mode_check CHECK ((mode = ANY (ARRAY['WAIT'::text, 'SYNC'::text, 'DETACHED'::text]))),
  constraint child_execution_pkey PRIMARY KEY (parent_id, name)
);

create table config (
  environment_id text collate "C" not null,
  account_id text collate "C" not null,
  slug text collate "C" not null,
  config_id text collate "C" not null,
  application_fields text not null,
  workflow_fields text not null,
  revision integer default 1 not null,
  create_time timestamp(3) with time zone default now() not null,
  update_time timestamp(3) with time zone default now() not null,
  constraint config_account FOREIGN KEY (environment_id, account_id) REFERENCES linked_account(environment_id, account_id),
  constraint config_config_id_check CHECK ((config_id <> ''::text)),
  constraint config_integration FOREIGN KEY (environment_id, slug) REFERENCES integration(environment_id, slug) ON DELETE CASCADE,
  constraint config_pkey PRIMARY KEY (environment_id, account_id, slug, config_id)
);

create table connection (
  environment_id text collate "C" not null,
  account_id text collate "C" not null,
  slug text collate "C" not null,
  sealed text not null,
  sealed_by text collate "C" not null,
  hints text not null,
  revision integer default 1 not null,
  create_time timestamp(3) with time zone default now() not null,
  update_time timestamp(3) with time zone default now() not null,
  constraint connection_account FOREIGN KEY (environment_id, account_id) REFERENCES linked_account(environment_id, account_id),
  constraint connection_integration FOREIGN KEY (environment_id, slug) REFERENCES integration(environment_id, slug) ON DELETE CASCADE,
  constraint connection_pkey PRIMARY KEY (environment_id, account_id, slug)
);

create table environment (
  id text collate "C" not null,
  organization_id text collate "C" not null,
  kind text not null,
  constraint environment_id_check CHECK ((id ~ '^[0-9a-f]{24}$'::text)),
  constraint environment_kind_check CHECK ((kind = ANY (ARRAY['test'::text, 'production'::text]))),
  constraint environment_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organization(id),
  constraint environment_organization_id_kind_key UNIQUE (organization_id, kind),
  constraint environment_pkey PRIMARY KEY (id)
);

create table environment_day (
  day date not null,
  environment_id text collate "C" not null,
  owner text collate "C" not null,
  bytes bigint not null,
  constraint environment_day_pkey PRIMARY KEY (day, environment_id, owner)
);

create table execution (
  environment_id text collate "C" not null,
  id text collate "C" not null,
  workflow_id text collate "C" not null,
  version integer not null,
  linked_account_id text collate "C" not null,
  config_id text not null,
  tag text,
  type text not null,
  source text not null,
  payload text not null,
  headers text not null,
  state text,
  response text,
  status_code integer,
  error text,
  create_time timestamp(3) with time zone default now() not null,
  end_time timestamp(3) with time zone,
  finished_epoch integer,
  origin_id text collate "C",
  fields text,
  constraint execution_check CHECK (((state IS NULL) = (end_time IS NULL))),
  constraint execution_error_at_end CHECK (((state IS NOT NULL) OR (error IS NULL))),
  constraint execution_id_check CHECK ((id ~ '^[0-9a-f]{24}$'::text)),
  constraint execution_origin_id_check CHECK ((origin_id ~ '^[0-9a-f]{24}$'::text)),
  constraint execution_pkey PRIMARY KEY (id),
  constraint execution_source_check CHECK ((source = ANY (ARRAY['API_CALL'::text, 'SUB_FLOW'::text, 'BATCH'::text, 'TEST'::text, 'RERUN'::text, 'RETRY'::text, 'SCHEDULE'::text]))),
  constraint execution_state_check CHECK ((state = ANY (ARRAY['COMPLETED'::text, 'ERRORED'::text, 'STOPPED'::text, 'TIMED_OUT'::text]))),
  constraint execution_type_check CHECK ((type = ANY (ARRAY['SYNC'::text, 'ASYNC'::text])))
) partition by RANGE (id);

create table execution_claim (
  execution_id text collate "C" not null,
  environment_id text collate "C" not null,
  owner text collate "C",
  epoch integer not null,
  due_time timestamp with time zone default now() not null,
  run_ms bigint default 0 not null,
  run_since timestamp with time zone,
  seal_key text,
  losses integer default 0 not null,
  flushes integer default 0 not null,
  linked_account_id text collate "C" default ''::text not null,
  trials integer default 0 not null,
  sealed_by text collate "C",
  due_set_time timestamp with time zone,
  wake_time timestamp with time zone,
  loss_time timestamp with time zone,
  constraint execution_claim_epoch_check CHECK ((epoch >= 0)),
  constraint execution_claim_pkey PRIMARY KEY (execution_id)
) with (fillfactor=70, autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_threshold=500, autovacuum_vacuum_cost_delay=0, autovacuum_vacuum_insert_scale_factor=0.05);

create table execution_default partition of execution default with (fillfactor=85);

create table idempotency_key (
  environment_id text collate "C" not null,
  linked_account_id text collate "C" not null,
  key text collate "C" not null,
  fingerprint text collate "C" not null,
  execution_id text collate "C" not null,
  constraint idempotency_key_key_check CHECK ((key ~ '^[!-~]{1,255}$'::text)),
  constraint idempotency_key_pkey PRIMARY KEY (environment_id, linked_account_id, key)
);

create table integration (
  environment_id text collate "C" not null,
  slug text collate "C" not null,
  name text not null,
  fields text default '[]'::text not null,
  revision integer default 1 not null,
  create_time timestamp(3) with time zone default now() not null,
  update_time timestamp(3) with time zone default now() not null,
  api text default '{}'::text not null,
  constraint integration_environment_id_fkey FOREIGN KEY (environment_id) REFERENCES environment(id),
  constraint integration_pkey PRIMARY KEY (environment_id, slug),
  constraint integration_slug_check CHECK ((slug <> ''::text))
);

create table journal (
  execution_id text collate "C" not null,
  flush_index integer not null,
  environment_id text collate "C" not null,
  epoch integer not null,
  entries text not null,
  create_time timestamp(3) with time zone default now() not null,
  heads text,
  constraint journal_flush_index_check CHECK ((flush_index >= 0)),
  constraint journal_pkey PRIMARY KEY (execution_id, flush_index)
) partition by RANGE (execution_id);

create table journal_default partition of journal default;

create table key_secret (
  id text collate "C" not null,
  secret bytea not null,
  create_time timestamp(3) with time zone default now() not null,
  constraint key_secret_id_check CHECK ((id ~ '^[A-Za-z0-9_-]{4}$'::text)),
  constraint key_secret_pkey PRIMARY KEY (id),
  constraint key_secret_secret_check CHECK ((octet_length(secret) = 32))
);

create table lease (
  owner text collate "C" not null,
  expire_time timestamp with time zone not null,
  renew_time timestamp with time zone default now() not null,
  session_pid integer,
  session_start timestamp with time zone,
  load text,
  process text,
  constraint lease_pkey PRIMARY KEY (owner)
);

create table linked_account (
  environment_id text collate "C" not null,
  account_id text collate "C" not null,
  name text,
  attributes text default '{}'::text not null,
  create_time timestamp(3) with time zone default now() not null,
  revision integer default 1 not null,
  update_time timestamp(3) with time zone default now() not null,
  delete_time timestamp(3) with time zone,
  constraint linked_account_account_id_check CHECK ((account_id <> ''::text)),
  constraint linked_account_environment_id_fkey FOREIGN KEY (environment_id) REFERENCES environment(id),
  constraint linked_account_pkey PRIMARY KEY (environment_id, account_id)
);

create table organization (
  id text collate "C" not null,
  name text not null,
  create_time timestamp(3) with time zone default now() not null,
  constraint organization_id_check CHECK ((id ~ '^[0-9a-f]{24}$'::text)),
  constraint organization_pkey PRIMARY KEY (id)
);

create table schedule (
  environment_id text collate "C" not null,
  id text collate "C" not null,
  workflow_id text collate "C" not null,
  linked_account_id text collate "C" not null,
  settings text not null,
  payload text not null,
  progress text not null,
  due_time timestamp(3) with time zone,
  fire_id text collate "C",
  last_execution_id text collate "C",
  revision integer default 1 not null,
  create_time timestamp(3) with time zone default now() not null,
  update_time timestamp(3) with time zone default now() not null,
  constraint schedule_account FOREIGN KEY (environment_id, linked_account_id) REFERENCES linked_account(environment_id, account_id),
  constraint schedule_environment_id_fkey FOREIGN KEY (environment_id) REFERENCES environment(id),
  constraint schedule_fire_id_check CHECK ((fire_id ~ '^[0-9a-f]{24}$'::text)),
  constraint schedule_id_check CHECK ((id <> ''::text)),
  constraint schedule_last_execution_id_check CHECK ((last_execution_id ~ '^[0-9a-f]{24}$'::text)),
  constraint schedule_pkey PRIMARY KEY (environment_id, id),
  constraint schedule_workflow FOREIGN KEY (environment_id, workflow_id) REFERENCES workflow(environment_id, id)
);

create table signal (
  execution_id text collate "C" not null,
  name text collate "C" not null,
  environment_id text collate "C" not null,
  value text,
  digest text collate "C",
  create_time timestamp(3) with time zone default now() not null,
  constraint signal_check CHECK (((value IS NULL) = (digest IS NULL))),
  constraint signal_pkey PRIMARY KEY (execution_id, name)
);

create table variable (
  environment_id text collate "C" not null,
  name text collate "C" not null,
  value text,
  sealed text,
  sealed_by text collate "C",
  hint text not null,
  hosts text not null,
  revision integer default 1 not null,
  create_time timestamp(3) with time zone default now() not null,
  update_time timestamp(3) with time zone default now() not null,
  constraint variable_check CHECK ((((value IS NULL) = (sealed IS NOT NULL)) AND ((sealed IS NULL) = (sealed_by IS NULL)))),
  constraint variable_environment_id_fkey FOREIGN KEY (environment_id) REFERENCES environment(id),
  constraint variable_name_check CHECK ((name <> ''::text)),
  constraint variable_pkey PRIMARY KEY (environment_id, name)
);

create table webhook_delivery (
  environment_id text collate "C" not null,
  endpoint_id text collate "C" not null,
  id text collate "C" not null,
  execution_id text collate "C" not null,
  event text not null,
  attempts integer default 0 not null,
  due_time timestamp(3) with time zone,
  is_delivered boolean default false not null,
  status integer,
  error text,
  answer text,
  create_time timestamp(3) with time zone default now() not null,
  end_time timestamp(3) with time zone,
  constraint webhook_delivery_endpoint FOREIGN KEY (environment_id, endpoint_id) REFERENCES webhook_endpoint(environment_id, id) ON DELETE CASCADE,
  constraint webhook_delivery_pkey PRIMARY KEY (environment_id, endpoint_id, id)
);

create table webhook_endpoint (
  environment_id text collate "C" not null,
  id text collate "C" not null,
  url text not null,
  sealed text not null,
  sealed_by text collate "C" not null,
  states text[] not null,
  workflow_ids text[],
  slugs text[],
  sources text[],
  settings text not null,
  is_enabled boolean not null,
  disable_reason text,
  failing_since timestamp(3) with time zone,
  revision integer default 1 not null,
  create_time timestamp(3) with time zone default now() not null,
  update_time timestamp(3) with time zone default now() not null,
  constraint webhook_endpoint_environment_id_fkey FOREIGN KEY (environment_id) REFERENCES environment(id),
  constraint webhook_endpoint_id_check CHECK ((id <> ''::text)),
  constraint webhook_endpoint_pkey PRIMARY KEY (environment_id, id)
);

create table workflow (
  environment_id text collate "C" not null,
  id text collate "C" not null,
  slug text collate "C" not null,
  name text not null,
  description text,
  alias text collate "C",
  current_version integer,
  latest_version integer default 0 not null,
  draft_definition text default '{}'::text not null,
  draft_revision integer default 0 not null,
  draft_update_time timestamp(3) with time zone default now() not null,
  create_time timestamp(3) with time zone default now() not null,
  update_time timestamp(3) with time zone default now() not null,
  revision integer default 0 not null,
  delete_time timestamp(3) with time zone,
  live_slug text collate "C" generated always as 
CASE
    WHEN (delete_time IS NULL) THEN slug
    ELSE NULL::text
END stored,
  constraint workflow_alias_check CHECK (((alias ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$'::text) AND (alias !~ '^[0-9a-fA-F]{24}$'::text))),
  constraint workflow_alias_taken UNIQUE (environment_id, alias, slug),
  constraint workflow_check CHECK (((delete_time IS NULL) OR ((alias IS NULL) AND (current_version IS NULL)))),
  constraint workflow_current_version FOREIGN KEY (environment_id, id, current_version) REFERENCES workflow_version(environment_id, workflow_id, version),
  constraint workflow_current_version_check CHECK ((current_version > 0)),
  constraint workflow_id_check CHECK ((id ~ '^[0-9a-f]{24}$'::text)),
  constraint workflow_integration FOREIGN KEY (environment_id, live_slug) REFERENCES integration(environment_id, slug),
  constraint workflow_pkey PRIMARY KEY (environment_id, id)
);

create table workflow_version (
  environment_id text collate "C" not null,
  workflow_id text collate "C" not null,
  version integer not null,
  definition text not null,
  create_time timestamp(3) with time zone default now() not null,
  constraint workflow_version_environment_id_workflow_id_fkey FOREIGN KEY (environment_id, workflow_id) REFERENCES workflow(environment_id, id),
  constraint workflow_version_pkey PRIMARY KEY (environment_id, workflow_id, version),
  constraint workflow_version_version_check CHECK ((version <> 0))
);

CREATE INDEX api_key_newest ON public.api_key USING btree (environment_id, create_time, id);

CREATE UNIQUE INDEX api_key_previous_hash ON public.api_key USING btree (previous_hash);

CREATE INDEX audit_event_newest ON public.audit_event USING btree (environment_id, create_time, id);

CREATE INDEX audit_event_of_action ON public.audit_event USING btree ((((environment_id || '/'::text) || action)), create_time, id);

CREATE INDEX audit_event_of_key ON public.audit_event USING btree ((((environment_id || '/'::text) || key_id)), create_time, id);

CREATE INDEX audit_event_of_resource ON public.audit_event USING btree ((((environment_id || '/'::text) || resource)), create_time, id);

CREATE UNIQUE INDEX child_execution_child ON public.child_execution USING btree (child_id);

CREATE INDEX child_execution_open ON public.child_execution USING btree (child_id) WHERE ((NOT is_ended) AND (mode <> 'DETACHED'::text));

CREATE INDEX child_execution_root ON public.child_execution USING btree (root_id);

CREATE INDEX execution_claim_due ON public.execution_claim USING btree (due_time) WHERE ((owner IS NULL) AND (losses < 2));

CREATE INDEX execution_claim_owned ON public.execution_claim USING btree (owner) WHERE (owner IS NOT NULL);

CREATE INDEX execution_claim_sealed ON public.execution_claim USING btree (sealed_by) WHERE (seal_key IS NOT NULL);

CREATE INDEX execution_claim_set ON public.execution_claim USING btree (due_set_time) WHERE ((owner IS NULL) AND (due_set_time IS NOT NULL));

CREATE INDEX execution_claim_suspect ON public.execution_claim USING btree (losses, execution_id) WHERE (losses >= 2);

CREATE INDEX execution_claim_turn ON public.execution_claim USING btree (environment_id, linked_account_id, due_time) WHERE ((owner IS NULL) AND (losses < 2));

CREATE INDEX execution_newest ON ONLY public.execution USING btree (environment_id, create_time, id);

CREATE INDEX execution_of_account ON ONLY public.execution USING btree ((((environment_id || '/'::text) || linked_account_id)), create_time, id);

CREATE INDEX execution_of_draft ON ONLY public.execution USING btree (environment_id, workflow_id, version) WHERE (version < 0);

CREATE INDEX execution_of_tag ON ONLY public.execution USING btree ((((environment_id || '/'::text) || tag)), create_time, id) WHERE (tag IS NOT NULL);

CREATE INDEX execution_of_workflow ON ONLY public.execution USING btree ((((environment_id || '/'::text) || workflow_id)), create_time, id);

CREATE INDEX idempotency_key_execution ON public.idempotency_key USING btree (execution_id);

CREATE INDEX schedule_due ON public.schedule USING btree (due_time) WHERE (due_time IS NOT NULL);

CREATE INDEX signal_kept ON public.signal USING btree (execution_id) WHERE ((value IS NOT NULL) AND (value <> ''::text));

CREATE INDEX webhook_delivery_due ON public.webhook_delivery USING btree (due_time) WHERE (due_time IS NOT NULL);

CREATE INDEX webhook_delivery_ended ON public.webhook_delivery USING btree (end_time) WHERE (end_time IS NOT NULL);

CREATE INDEX webhook_delivery_turn ON public.webhook_delivery USING btree (environment_id, endpoint_id, due_time) WHERE (due_time IS NOT NULL);

CREATE INDEX workflow_version_draft ON public.workflow_version USING btree (version, environment_id, workflow_id) WHERE (version < 0);

CREATE INDEX workflow_newest ON public.workflow USING btree (environment_id, create_time, id) WHERE (delete_time IS NULL);

CREATE INDEX workflow_of_integration ON public.workflow USING btree ((((environment_id || '/'::text) || slug)), create_time, id) WHERE (delete_time IS NULL);

CREATE TRIGGER audit_event_is_final BEFORE UPDATE ON audit_event FOR EACH ROW EXECUTE FUNCTION flowcall_refuse_change();

CREATE TRIGGER execution_is_final BEFORE UPDATE ON execution FOR EACH ROW WHEN (old.state IS NOT NULL) EXECUTE FUNCTION flowcall_refuse_change();

CREATE TRIGGER execution_response_is_final BEFORE UPDATE ON execution FOR EACH ROW WHEN (old.response IS NOT NULL AND (new.response IS DISTINCT FROM old.response OR new.status_code IS DISTINCT FROM old.status_code)) EXECUTE FUNCTION flowcall_keep_response();

CREATE TRIGGER journal_is_final BEFORE UPDATE ON journal FOR EACH ROW EXECUTE FUNCTION flowcall_refuse_change();

CREATE TRIGGER workflow_version_is_final BEFORE UPDATE ON workflow_version FOR EACH ROW EXECUTE FUNCTION flowcall_refuse_change();
