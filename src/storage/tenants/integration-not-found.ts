import { RequestError } from "../../domain/request-error.ts";

export function integrationNotFound(slug: string): RequestError {
  return new RequestError(
    "INTEGRATION_NOT_FOUND",
    `There is no integration "${slug}". Create it first, or check the slug.`,
    { metadata: { slug } },
  );
}
