import { randomBytes } from "node:crypto";
import { RequestError } from "../../domain/request-error.ts";
import type { WebhookSecrets } from "../../domain/webhooks/webhook.ts";
import type { Sealed } from "../../storage/tenants/connection-store.ts";
import type { Sealing } from "./sealing.ts";

/** The endpoint that secrets belong to. What was encrypted for one decrypts for no other. */
export type SecretsOwner = { readonly environmentId: string; readonly endpointId: string };

export function newWebhookSecret(): string {
  return `whsec_${randomBytes(24).toString("base64")}`;
}

/** Throws RequestError with ENCRYPTION_KEYS_MISSING. */
export function sealWebhookSecrets(sealing: Sealing, owner: SecretsOwner, secrets: WebhookSecrets): Sealed {
  if (!sealing.canSeal) {
    throw new RequestError(
      "ENCRYPTION_KEYS_MISSING",
      "The secret of an endpoint has to be stored encrypted, and the service has no encryption key. Set FLOWCALL_ENCRYPTION_KEYS.",
    );
  }
  return { sealed: sealing.seal(Buffer.from(JSON.stringify(secrets)), contextOf(owner)), sealedBy: sealing.keyName };
}

/** Undefined where no key decrypts them. */
export function openWebhookSecrets(
  sealing: Sealing,
  owner: SecretsOwner,
  { sealed }: Pick<Sealed, "sealed">,
): WebhookSecrets | undefined {
  const opened = sealing.open(sealed, contextOf(owner));
  // `sealWebhookSecrets` wrote it.
  return opened && (JSON.parse(opened.toString()) as WebhookSecrets);
}

function contextOf({ environmentId, endpointId }: SecretsOwner): string {
  return JSON.stringify(["webhook-endpoint", environmentId, endpointId]);
}
