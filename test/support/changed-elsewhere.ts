import type { JsonObject } from "@bufbuild/protobuf";

/** Two processes on one database, and a key of theirs. */
export type TwoProcesses = { readonly here: string; readonly elsewhere: string; readonly key: string };

export type ChangesOptions = {
  readonly rounds: number;
  /** Whether payload schemas change too: each publication of one takes a child process. */
  readonly hasSchemas: boolean;
};

type Answer = { readonly status: number; readonly body: JsonObject };

const slug = "shelf";
const alias = "changing";
const account = "changing@acme.io";

/**
 * Changes at one process, again and again, everything that a call is resolved by, while the other is called all the time.
 * Throws where a call that began after the reply to a change was answered by the state before it. Answers how many calls
 * were checked.
 */
export async function changeElsewhere(
  processes: TwoProcesses,
  { rounds, hasSchemas }: ChangesOptions,
): Promise<number> {
  const changes = new Changes(processes);
  await changes.prepare();
  const stop = changes.callAllTheTime();
  try {
    for (let round = 1; round <= rounds; round += 1) {
      await changes.changeAll(round);
      if (hasSchemas) {
        await changes.changeSchema(round);
      }
    }
  } finally {
    await stop();
  }
  return changes.checked;
}

class Changes {
  readonly #processes: TwoProcesses;
  /** What calls read now. */
  #marks = { version: 0, color: 0, region: 0 };
  #id = "";
  #other = "";
  checked = 0;

  constructor(processes: TwoProcesses) {
    this.#processes = processes;
  }

  async prepare(): Promise<void> {
    const fields = [{ name: "Region", type: "NUMBER", default_value: 0 }];
    await this.#change("POST", "integration", { slug, name: "Shelf", fields });
    await this.#putAccount(0);
    this.#id = await this.#create(alias);
    this.#other = await this.#create("other");
    await this.#publish(this.#id, 0);
    await this.#publish(this.#other, -1);
  }

  /** Calls whatever it is answered, so that what is kept is in use when it changes. */
  callAllTheTime(): () => Promise<void> {
    let isOver = false;
    const lane = async () => {
      while (!isOver) {
        await this.#call({ sync_execution: "true" });
      }
    };
    const lanes = Promise.all([lane(), lane()]);
    return async () => {
      isOver = true;
      await lanes;
    };
  }

  /** One round of changes, each checked once its reply is there. */
  async changeAll(round: number): Promise<void> {
    await this.#publish(this.#id, round);
    this.#marks = { ...this.#marks, version: round };
    await this.#check(undefined);
    await this.#putAccount(round);
    this.#marks = { ...this.#marks, color: round };
    await this.#check(undefined);
    await this.#change("PUT", `linked-account/${account}/config/${slug}`, { application_fields: { Region: round } });
    this.#marks = { ...this.#marks, region: round };
    await this.#check(undefined);
    await this.#change("POST", `workflow/${this.#id}/unpublish`);
    await this.#check("WORKFLOW_NOT_PUBLISHED");
    await this.#publish(this.#id, round, {});
    await this.#check("WORKFLOW_HAS_OTHER_TRIGGER");
    await this.#publish(this.#id, round);
    await this.#check(undefined);
    await this.#change("PATCH", `workflow/${this.#id}`, { alias: "" });
    await this.#check("WORKFLOW_NOT_FOUND");
    await this.#change("PATCH", `workflow/${this.#other}`, { alias });
    await this.#check(undefined, { ...this.#marks, version: -1 });
    await this.#change("PATCH", `workflow/${this.#other}`, { alias: "other" });
    await this.#change("PATCH", `workflow/${this.#id}`, { alias });
    await this.#check(undefined);
    await this.#deleteAccount();
    await this.#check("INVALID_LINKED_ACCOUNT_ID");
    await this.#putAccount(round);
    // A configuration goes with its account.
    this.#marks = { ...this.#marks, region: 0 };
    await this.#check(undefined);
  }

  async changeSchema(round: number): Promise<void> {
    await this.#publish(this.#id, round, { api_call: { schema: { type: "object", required: ["missing"] } } });
    await this.#check("PAYLOAD_INVALID");
    await this.#publish(this.#id, round);
    await this.#check(undefined);
  }

  /** Calls twice synchronously, then asynchronously, without a key and with one, and compares the answers. */
  async #check(reason: string | undefined, marks = this.#marks): Promise<void> {
    const key = { "idempotency-key": crypto.randomUUID() };
    const waiting = { prefer: "wait=10" };
    for (const headers of [{ sync_execution: "true" }, { sync_execution: "true" }, waiting, { ...waiting, ...key }]) {
      const { body } = await this.#call(headers);
      const found = body["return_value"] ?? body["error_code"];
      const wanted = reason ?? marks;
      if (JSON.stringify(found) !== JSON.stringify(wanted)) {
        throw new Error(`answered ${JSON.stringify(body)} after a change to ${JSON.stringify(wanted)}`);
      }
      this.checked += 1;
    }
  }

  async #create(name: string): Promise<string> {
    const { id } = await this.#change("POST", "workflow", { slug, alias: name, name });
    return String(id);
  }

  async #publish(workflow: string, version: number, start: JsonObject = { api_call: {} }): Promise<void> {
    const data = `{"version": ${version}, "color": {{linked_account.color}}, "region": {{application.fields.Region}}}`;
    const definition = {
      nodes: [
        { id: "1", name: "Start", start },
        { id: "2", name: "Response", response: { data } },
      ],
      edges: [{ source: "1", target: "2" }],
    };
    await this.#change("PUT", `workflow/${workflow}/draft`, definition);
    await this.#change("POST", `workflow/${workflow}/publish`);
  }

  async #putAccount(color: number): Promise<void> {
    await this.#change("PUT", `linked-account/${account}`, { attributes: { color } });
  }

  /** An account is in use while an execution of it goes on. */
  async #deleteAccount(): Promise<void> {
    const deletion = { method: "DELETE", path: `linked-account/${account}`, body: {}, headers: {} };
    let answer: Answer;
    do {
      answer = await this.#send(this.#processes.elsewhere, deletion);
    } while (answer.body["error_code"] === "LINKED_ACCOUNT_IN_USE");
    if (answer.status !== 200) {
      throw new Error(`the account was not deleted: ${JSON.stringify(answer)}`);
    }
  }

  async #change(method: string, path: string, body: JsonObject = {}): Promise<JsonObject> {
    const { status, body: reply } = await this.#send(this.#processes.elsewhere, { method, path, body, headers: {} });
    if (status !== 200) {
      throw new Error(`${method} ${path} was answered ${status}: ${JSON.stringify(reply)}`);
    }
    return reply;
  }

  async #call(headers: Readonly<Record<string, string>>): Promise<Answer> {
    const to = { method: "POST", path: `workflow/${alias}/execute`, body: {} };
    return await this.#send(this.#processes.here, { ...to, headers: { ...headers, linked_account_id: account, slug } });
  }

  async #send(url: string, { method, path, body, headers }: Sent): Promise<Answer> {
    const own = { "x-api-key": this.#processes.key, "content-type": "application/json" };
    const hasBody = method !== "DELETE";
    const response = await fetch(`${url}/api/v1/${path}`, {
      method,
      headers: { ...own, ...headers },
      ...(hasBody && { body: JSON.stringify(body) }),
    });
    // Every reply of the API is an object.
    return { status: response.status, body: (await response.json()) as JsonObject };
  }
}

type Sent = {
  readonly method: string;
  readonly path: string;
  readonly body: JsonObject;
  readonly headers: Readonly<Record<string, string>>;
};
