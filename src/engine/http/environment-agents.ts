import { Agent, type buildConnector, type Client, Pool } from "undici";
import { LruMap } from "../../domain/collections/lru-map.ts";
import { KeepAliveClient } from "./keep-alive-client.ts";

/**
 * One undici agent for each environment, so that no connection passes from one environment to another. It is an LRU cache: the
 * agent that was used longest ago is closed for a new one, once its calls have ended.
 */
export class EnvironmentAgents {
  readonly #connect: buildConnector.connector;
  readonly #agents: LruMap<string, Agent>;
  readonly #closing = new Map<Agent, Promise<void>>();
  readonly #newClient = (origin: URL, options: Client.Options) =>
    new KeepAliveClient(origin, { ...options, connect: this.#connect });

  constructor(connect: buildConnector.connector, { agentsMax }: { agentsMax: number }) {
    this.#connect = connect;
    this.#agents = new LruMap(agentsMax, (_, agent) => this.#close(agent));
  }

  /** The agent of an environment. It must be used before the next `await`, because it may be closed at any time after. */
  agentOf(environmentId: string): Agent {
    const known = this.#agents.get(environmentId);
    if (known !== undefined) {
      return known;
    }
    const agent = this.#newAgent();
    this.#agents.set(environmentId, agent);
    return agent;
  }

  /** Ends all connections and the calls on them. */
  async destroy(): Promise<void> {
    const agents = [...this.#agents.values(), ...this.#closing.keys()];
    this.#agents.clear();
    await Promise.all(agents.map((agent) => agent.destroy()));
    await Promise.all(this.#closing.values());
  }

  #newAgent(): Agent {
    return new Agent({
      connect: this.#connect,
      factory: (origin, options) => new Pool(origin, { ...options, factory: this.#newClient }),
      allowH2: false,
      pipelining: 1,
      connections: connectionsPerOriginMax,
      maxOrigins: originsMax,
      keepAliveTimeout: keepAliveMs,
      keepAliveMaxTimeout: keepAliveMaxMs,
      maxHeaderSize: answerHeaderBytesMax,
      // The deadline of the whole call counts. undici's own timers restart with each byte, which a slow-loris server exploits.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  #close(agent: Agent): void {
    this.#closing.set(
      agent,
      agent.close().finally(() => this.#closing.delete(agent)),
    );
  }
}

/** The limit for the names and values of an answer's headers. */
export const answerHeaderBytesMax = 16 * 1024;

/** More than the iterations of a Group that run at a time. */
const connectionsPerOriginMax = 128;
const originsMax = 512;
const keepAliveMs = 4_000;
const keepAliveMaxMs = 30_000;
