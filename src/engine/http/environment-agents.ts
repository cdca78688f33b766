import { Agent, type buildConnector, type Client, Pool } from "undici";
import { LruMap } from "../../domain/lru-map.ts";
import { KeptClient } from "./keep-alive-client.ts";

/**
 * One undici agent per environment, so that no connection, and nothing that a server left on one, passes from one
 * environment to another. Bounded: the agent that was used longest ago makes room, once its calls have ended.
 */
export class EnvironmentAgents {
  readonly #connect: buildConnector.connector;
  readonly #agents: LruMap<string, Agent>;
  readonly #closing = new Map<Agent, Promise<void>>();
  readonly #newClient = (origin: URL, options: Client.Options) =>
    new KeptClient(origin, { ...options, connect: this.#connect });

  constructor(connect: buildConnector.connector, { agentsMax }: { agentsMax: number }) {
    this.#connect = connect;
    this.#agents = new LruMap(agentsMax, (_, agent) => this.#close(agent));
  }

  /** The agent of an environment. It has to be used before the next `await`: it may be closed any time after. */
  agentOf(environmentId: string): Agent {
    const known = this.#agents.get(environmentId);
    if (known !== undefined) return known;
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
      // The deadline of the whole call governs; undici's own timers restart with each byte.
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

/** Bytes of the names and values of an answer's headers. */
export const answerHeaderBytesMax = 16 * 1024;

/** More than the iterations of one Group that run at a time. */
const connectionsPerOriginMax = 128;
const originsMax = 512;
const keepAliveMs = 4_000;
const keepAliveMaxMs = 30_000;
