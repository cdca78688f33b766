import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { newId } from "../../src/domain/id.ts";
import type { Reason } from "../../src/domain/reason.ts";
import { RequestError } from "../../src/domain/request-error.ts";
import type { WorkflowReference } from "../../src/domain/workflow.ts";
import { createTenant, openStores, type Stores, type Tenant } from "./fixture.ts";

let stores: Stores;
let tenant: Tenant;

beforeAll(async () => {
  stores = await openStores();
});

beforeEach(async () => {
  tenant = await createTenant(stores);
});

afterAll(() => stores.close());

async function checkRefused(promise: Promise<unknown>, reason: Reason): Promise<void> {
  const error = await promise.catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(RequestError);
  expect(error).toMatchObject({ reason });
}

describe("a reference", () => {
  test("means a workflow by its id in any case, or by its alias", async () => {
    const { environmentId, workflowId } = tenant;
    for (const workflow of [workflowId, workflowId.toUpperCase(), "one"]) {
      for (const slug of [undefined, "asana"]) {
        const record = await stores.workflows.find(
          { environmentId },
          { workflow, ...(slug !== undefined && { slug }) },
        );
        expect(record).toMatchObject({ id: workflowId, slug: "asana", alias: "one", currentVersion: 1 });
      }
    }
  });

  test("means none where the slug does not agree, in another environment, or in another case of the alias", async () => {
    const { environmentId, environments, workflowId } = tenant;
    await stores.tenants.putIntegration(environmentId, { slug: "github", name: "GitHub" });
    const find = (environment: string, reference: WorkflowReference) =>
      stores.workflows.find({ environmentId: environment }, reference);
    await checkRefused(find(environmentId, { workflow: workflowId, slug: "github" }), "WORKFLOW_NOT_FOUND");
    await checkRefused(find(environmentId, { workflow: "one", slug: "github" }), "WORKFLOW_NOT_FOUND");
    await checkRefused(find(environments.production, { workflow: workflowId }), "WORKFLOW_NOT_FOUND");
    await checkRefused(find(environments.production, { workflow: "one" }), "WORKFLOW_NOT_FOUND");
    await checkRefused(find(environmentId, { workflow: "One" }), "WORKFLOW_NOT_FOUND");
    await checkRefused(find(environmentId, { workflow: newId() }), "WORKFLOW_NOT_FOUND");
    await checkRefused(find(environmentId, { workflow: "\u0000" }), "VALIDATION_ERROR");
  });

  test("needs the slug only where two integrations share the alias", async () => {
    const { workflows, tenants } = stores;
    const { actor, organizationId, environmentId, linkedAccountId } = tenant;
    await tenants.putIntegration(environmentId, { slug: "github", name: "GitHub" });
    const other = await workflows.create(actor, { slug: "github", name: "Other", alias: "one" });
    await checkRefused(workflows.find({ environmentId }, { workflow: "one" }), "SLUG_REQUIRED");
    const call = { organizationId, environmentId, linkedAccountId, reference: { workflow: "one" } };
    await checkRefused(workflows.resolveCall(call), "SLUG_REQUIRED");
    expect(await workflows.find({ environmentId }, { workflow: "one", slug: "github" })).toEqual(other);
  });
});

describe("a new workflow", () => {
  test("has an empty draft, no version, and what was given", async () => {
    const { workflows } = stores;
    const { actor, environmentId } = tenant;
    const record = await workflows.create(actor, { slug: "asana", name: "Two", description: "What for" });
    expect(record).toMatchObject({ slug: "asana", name: "Two", description: "What for" });
    expect(record).not.toHaveProperty("alias");
    expect(record).not.toHaveProperty("currentVersion");
    expect(await stores.drafts.find({ environmentId }, { workflow: record.id })).toMatchObject({
      definition: "{}",
      revision: 0,
    });
  });

  test("is refused under a taken alias, of an unknown integration, and never bears an id's form for an alias", async () => {
    const { workflows } = stores;
    const { actor, environments } = tenant;
    await checkRefused(workflows.create(actor, { slug: "asana", name: "X", alias: "one" }), "ALIAS_TAKEN");
    await checkRefused(workflows.create(actor, { slug: "jira", name: "X" }), "INTEGRATION_NOT_FOUND");
    await checkRefused(
      workflows.create({ ...actor, environmentId: environments.production }, { slug: "asana", name: "X" }),
      "INTEGRATION_NOT_FOUND",
    );
    await expect(workflows.create(actor, { slug: "asana", name: "X", alias: newId() })).rejects.toThrow("check");
  });
});

describe("a list", () => {
  test("gives every workflow of the environment once, newest first, page by page", async () => {
    const { workflows, tenants } = stores;
    const { actor, environmentId, workflowId } = tenant;
    await tenants.putIntegration(environmentId, { slug: "github", name: "GitHub" });
    const created = [workflowId];
    for (const slug of ["asana", "github", "asana", "asana"]) {
      created.push((await workflows.create(actor, { slug, name: slug })).id);
    }
    await createTenant(stores);
    const listed: string[] = [];
    let pageToken: string | undefined;
    do {
      const page = await workflows.list(
        { environmentId },
        { pageSize: 2, ...(pageToken !== undefined && { pageToken }) },
      );
      listed.push(...page.workflows.map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken !== undefined);
    expect(listed.length).toBe(5);
    expect(new Set(listed)).toEqual(new Set(created));
    expect(listed.at(-1)).toBe(workflowId);
    const ofOne = await workflows.list({ environmentId }, { slug: "github", pageSize: 10 });
    expect(ofOne.workflows.map(({ slug }) => slug)).toEqual(["github"]);
    expect(ofOne).not.toHaveProperty("nextPageToken");
  });

  test("refuses a page token that it did not give", async () => {
    for (const pageToken of ["", "x", "9".repeat(40), Buffer.from("1.2").toString("base64url")]) {
      await checkRefused(
        stores.workflows.list({ environmentId: tenant.environmentId }, { pageSize: 2, pageToken }),
        "VALIDATION_ERROR",
      );
    }
  });
});

describe("a draft", () => {
  test("is not overwritten by somebody who has not seen its last change", async () => {
    const { drafts } = stores;
    const { actor, environmentId, workflowId } = tenant;
    const save = { reference: { workflow: "one" }, definition: '{"nodes": []}' };
    const first = await drafts.save(actor, { ...save, expectedRevisions: [0] });
    expect(first).toMatchObject({ workflowId, revision: 1 });
    await checkRefused(drafts.save(actor, { ...save, expectedRevisions: [0] }), "ETAG_MISMATCH");
    expect((await drafts.save(actor, save)).revision).toBe(2);
    const found = await drafts.find({ environmentId }, { workflow: workflowId });
    expect(found).toMatchObject({ revision: 2, definition: save.definition, slug: "asana" });
  });

  test("is saved where its alias means one workflow, and in neither of two integrations that share it", async () => {
    const { drafts, tenants, workflows } = stores;
    const { actor, environmentId } = tenant;
    await tenants.putIntegration(environmentId, { slug: "github", name: "GitHub" });
    const { id } = await workflows.create(actor, { slug: "github", name: "Other", alias: "one" });
    const save = { reference: { workflow: "one" }, definition: "{}" };
    await checkRefused(drafts.save(actor, save), "SLUG_REQUIRED");
    const reference = { workflow: "one", slug: "github" };
    expect(await drafts.save(actor, { ...save, reference })).toMatchObject({ workflowId: id, revision: 1 });
    // A key that reaches one of them means that one.
    const restricted = { ...actor, workflowIds: [id] };
    expect(await drafts.save(restricted, save)).toMatchObject({ workflowId: id, revision: 2 });
    await workflows.delete(actor, { reference });
    expect(await drafts.save(actor, save)).toMatchObject({ workflowId: tenant.workflowId, revision: 1 });
  });

  test("is not found in another environment", async () => {
    const { drafts, versions } = stores;
    const { environments, organizationId, workflowId } = tenant;
    const environmentId = environments.production;
    const reference = { workflow: workflowId };
    await checkRefused(drafts.find({ environmentId }, reference), "WORKFLOW_NOT_FOUND");
    const actor = { ...tenant.actor, environmentId };
    await checkRefused(drafts.save(actor, { reference, definition: "{}" }), "WORKFLOW_NOT_FOUND");
    await checkRefused(versions.publish(actor, { workflowId, revision: 0 }), "WORKFLOW_NOT_FOUND");
    expect(await versions.load({ organizationId, environmentId, workflowId, version: 1 })).toBeUndefined();
  });
});

describe("a version", () => {
  test("is the draft that was checked, and is published once for each of many who publish at once", async () => {
    const { workflows, drafts, versions } = stores;
    const { actor, environmentId, workflowId } = tenant;
    const reference = { workflow: workflowId };
    const { revision } = await drafts.save(actor, { reference, definition: '{"nodes": []}' });
    const publish = () => versions.publish(actor, { workflowId, revision });
    const numbers = await Promise.all(Array.from({ length: 7 }, publish));
    numbers.push(await versions.restore(actor, { reference, version: 1 }));
    expect(numbers.toSorted()).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
    for (const version of numbers) {
      const { definition } = await versions.find(actor, reference, version);
      expect(definition).toBe(version === 9 ? "{}" : '{"nodes": []}');
    }
    expect(await workflows.find({ environmentId }, { workflow: workflowId })).toMatchObject({ currentVersion: 9 });
  });

  test("is not made of a draft that was saved in between", async () => {
    const { drafts, versions } = stores;
    const { actor, workflowId } = tenant;
    const reference = { workflow: workflowId };
    await drafts.save(actor, { reference, definition: "{}" });
    await checkRefused(versions.publish(actor, { workflowId, revision: 0 }), "ETAG_MISMATCH");
    await checkRefused(versions.find(actor, reference, 2), "WORKFLOW_VERSION_NOT_FOUND");
  });

  test("never changes", async () => {
    const update = stores.db.updateTable("workflow_version").set({ definition: "[]" });
    await expect(update.where("workflow_id", "=", tenant.workflowId).execute()).rejects.toThrow("is final");
  });
});

describe("a change", () => {
  test("is kept with who made it, and is not made where that cannot be kept", async () => {
    const { workflows, drafts, versions, db } = stores;
    const { actor, environmentId, workflowId } = tenant;
    const reference = { workflow: workflowId };
    const changes: readonly ((by: typeof actor) => Promise<unknown>)[] = [
      (by) => workflows.create(by, { slug: "asana", name: "Two" }),
      (by) => workflows.update(by, { reference, name: "Changed" }),
      (by) => drafts.save(by, { reference, definition: "{}" }),
      (by) => versions.publish(by, { workflowId, revision: 1 }),
      (by) => versions.restore(by, { reference, version: 1 }),
      (by) => workflows.unpublish(by, { reference }),
      (by) => workflows.delete(by, { reference }),
    ];
    const state = async () => [
      await db.selectFrom("workflow").selectAll().where("environment_id", "=", environmentId).execute(),
      await db.selectFrom("workflow_version").selectAll().where("environment_id", "=", environmentId).execute(),
    ];
    const events = () =>
      db.selectFrom("audit_event").select(["action", "key_id"]).where("environment_id", "=", environmentId).execute();
    for (const change of changes) {
      const before = await state();
      const recorded = (await events()).length;
      // What the database cannot hold.
      await expect(change({ ...actor, keyId: "\u0000" })).rejects.toThrow();
      expect(await state()).toEqual(before);
      await change({ ...actor, keyId: "somebody" });
      expect(await state()).not.toEqual(before);
      expect(await events()).toHaveLength(recorded + 1);
    }
    const made = (await events()).filter(({ key_id }) => key_id === "somebody").map(({ action }) => action);
    expect(made.toSorted()).toEqual(
      ["CREATE", "UPDATE", "SAVE_DRAFT", "PUBLISH", "RESTORE", "UNPUBLISH", "DELETE"].toSorted(),
    );
  });

  test("that is refused is not recorded", async () => {
    const { workflows, drafts, versions, db } = stores;
    const { actor, environmentId, workflowId } = tenant;
    const events = () =>
      db.selectFrom("audit_event").select("id").where("environment_id", "=", environmentId).execute();
    const before = await events();
    const stale = { reference: { workflow: workflowId }, expectedRevisions: [7] };
    await checkRefused(workflows.create(actor, { slug: "asana", name: "X", alias: "one" }), "ALIAS_TAKEN");
    await checkRefused(workflows.update(actor, { ...stale, name: "X" }), "ETAG_MISMATCH");
    await checkRefused(drafts.save(actor, { ...stale, definition: "{}" }), "ETAG_MISMATCH");
    await checkRefused(versions.publish(actor, { workflowId, revision: 7 }), "ETAG_MISMATCH");
    await checkRefused(versions.restore(actor, { ...stale, version: 1 }), "ETAG_MISMATCH");
    await checkRefused(workflows.unpublish(actor, stale), "ETAG_MISMATCH");
    await checkRefused(workflows.delete(actor, stale), "ETAG_MISMATCH");
    expect(await events()).toEqual(before);
  });
});

describe("a call", () => {
  test("is resolved to version and account", async () => {
    const { workflows, versions } = stores;
    const { actor, organizationId, environmentId, workflowId, linkedAccountId } = tenant;
    await versions.publish(actor, { workflowId, revision: 0 });
    const call = { organizationId, environmentId, linkedAccountId, reference: { workflow: "one" } };
    const linkedAccount = { id: linkedAccountId, name: "John", attributes: { team: "red" } };
    expect(await workflows.resolveCall(call)).toMatchObject({ workflowId, slug: "asana", version: 2, linkedAccount });
    expect(await workflows.resolveCall({ ...call, version: 1 })).toMatchObject({ version: 1 });
  });

  test("is refused for what is wrong first", async () => {
    const { workflows } = stores;
    const { actor, organizationId, environmentId, linkedAccountId } = tenant;
    await workflows.create(actor, { slug: "asana", name: "Unpublished", alias: "unpublished" });
    const check = (
      call: { workflow: string; slug?: string; linkedAccountId?: string; version?: number; environmentId?: string },
      reason: Reason,
    ) => {
      const { workflow, slug, ...rest } = call;
      const reference = { workflow, ...(slug !== undefined && { slug }) };
      return checkRefused(
        workflows.resolveCall({ organizationId, environmentId, linkedAccountId, reference, ...rest }),
        reason,
      );
    };
    const stranger = "nobody@acme.io";
    await check({ workflow: "none", linkedAccountId: stranger, version: 9 }, "WORKFLOW_NOT_FOUND");
    await check({ workflow: "one", slug: "jira" }, "WORKFLOW_NOT_FOUND");
    await check({ workflow: "one", environmentId: tenant.environments.production }, "WORKFLOW_NOT_FOUND");
    await check({ workflow: "unpublished", linkedAccountId: stranger }, "INVALID_LINKED_ACCOUNT_ID");
    await check({ workflow: "unpublished", version: 9 }, "WORKFLOW_NOT_PUBLISHED");
    await check({ workflow: "one", version: 9 }, "WORKFLOW_VERSION_NOT_FOUND");
  });

  test("does not find the account of another environment", async () => {
    const { organizationId, environmentId } = tenant;
    const other = await createTenant(stores);
    await stores.tenants.putLinkedAccount(other.environmentId, { accountId: "only@other.io" });
    const call = { organizationId, environmentId, linkedAccountId: "only@other.io", reference: { workflow: "one" } };
    await checkRefused(stores.workflows.resolveCall(call), "INVALID_LINKED_ACCOUNT_ID");
  });
});
