import type { TestDatabase } from "../support/postgres.ts";

/**
 * Writes the schema of a database as SQL, in an order that does not depend on how it came about. (The embedded Postgres
 * comes without pg_dump.) Left out: the migrator's tables, and NOT VALID, which says of a constraint only that rows older
 * than it were not checked; and the partitions of days.
 */
export async function dumpSchema({ query }: TestDatabase): Promise<string> {
  const { rows } = await query(statements);
  return rows.map(({ text }) => `${text};\n`).join("\n");
}

const statements = `
with tables as (
  select c.oid, c.relname as name, c.reloptions as options
  from pg_class c
  where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
    and c.relname not like 'kysely%'
),
columns as (
  select tables.oid, 1 as kind, to_char(a.attnum, '000') as place,
    concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod),
      case when a.attcollation <> t.typcollation then 'collate ' || a.attcollation::regcollation end,
      case when a.attgenerated = 's' then 'generated always as ' || pg_get_expr(d.adbin, d.adrelid) || ' stored'
        when d.adbin is not null then 'default ' || pg_get_expr(d.adbin, d.adrelid) end,
      case when a.attnotnull then 'not null' end) as text
  from tables
  join pg_attribute a on a.attrelid = tables.oid and a.attnum > 0 and not a.attisdropped
  join pg_type t on t.oid = a.atttypid
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
),
constraints as (
  select tables.oid, 2 as kind, conname as place,
    'constraint ' || conname || ' ' || replace(pg_get_constraintdef(pg_constraint.oid), ' NOT VALID', '') as text
  from tables join pg_constraint on conrelid = tables.oid and contype in ('c', 'p', 'u', 'f')
),
parts as (select * from columns union all select * from constraints)
select text from (
  select 1 as kind, proname::text as name, trim(trailing E'\\n' from pg_get_functiondef(oid)) as text
  from pg_proc where pronamespace = 'public'::regnamespace
  union all
  select 2, tables.name,
    'create table ' || tables.name || E' (\\n  ' || string_agg(parts.text, E',\\n  ' order by kind, place collate "C") || E'\\n)'
      || coalesce(' partition by ' || pg_get_partkeydef(tables.oid), '')
      || coalesce(' with (' || array_to_string(tables.options, ', ') || ')', '')
  from tables join parts using (oid) group by oid, tables.name, tables.options
  union all
  select 2, part.relname, 'create table ' || part.relname || ' partition of ' || tables.name || ' default'
    || coalesce(' with (' || array_to_string(part.reloptions, ', ') || ')', '')
  from tables join pg_inherits on inhparent = tables.oid join pg_class part on part.oid = inhrelid
  where pg_get_expr(part.relpartbound, part.oid) = 'DEFAULT'
  union all
  select 3, tables.name || indexrelid::regclass::text, pg_get_indexdef(indexrelid)
  from tables join pg_index on indrelid = tables.oid
  where not exists (select from pg_constraint where conindid = indexrelid and contype in ('p', 'u'))
  union all
  select 4, tables.name || tgname, pg_get_triggerdef(pg_trigger.oid, true)
  from tables join pg_trigger on tgrelid = tables.oid and not tgisinternal
) as statements order by kind, name collate "C"`;
