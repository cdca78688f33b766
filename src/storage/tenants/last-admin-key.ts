import { sql, type Transaction } from "kysely";
import { RequestError } from "../../domain/request-error.ts";
import { Scope } from "../../gen/flowcall/v1/options_pb.ts";
import type { Tables } from "../postgres/tables.ts";

/**
 * Throws LAST_ADMIN_KEY where nobody could create keys of the environment without this key, now or once others have expired.
 * Each environment needs an admin key of its own, since a key works in one environment.
 *
 * Two admins may revoke each other at the same moment: the lock on the environment's row serialises the two decisions.
 */
export async function requireOtherAdminKey(
  transaction: Transaction<Tables>,
  { environmentId, id }: { readonly environmentId: string; readonly id: string },
): Promise<void> {
  // `for no key update` and not stronger: each new row of the environment locks this row as well, by its foreign key.
  await transaction
    .selectFrom("environment")
    .select("id")
    .where("id", "=", environmentId)
    .forNoKeyUpdate()
    .executeTakeFirstOrThrow();
  const { rows } = await sql<{ is_last: boolean }>`
    select not exists (
      select from api_key as other
      where other.environment_id = key.environment_id and other.id <> key.id
        and ${Scope.ADMIN} = any (other.scopes) and other.revoke_time is null
        and coalesce(other.expire_time, 'infinity') >= coalesce(key.expire_time, 'infinity')
    ) as is_last
    from api_key as key
    where key.environment_id = ${environmentId} and key.id = ${id} and ${Scope.ADMIN} = any (key.scopes)
      and key.revoke_time is null and (key.expire_time is null or key.expire_time > now())`.execute(transaction);
  if (rows.some(({ is_last }) => is_last)) {
    throw RequestError.of("LAST_ADMIN_KEY", { metadata: { api_key_id: id } });
  }
}
