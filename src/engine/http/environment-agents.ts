import { Agent, type buildConnector, type Client, Pool } from "undici";
import { KeptClient } from "./keep-alive-client.ts";

/**
 * One undici agent per environment, so that no connection, and nothing that a server left on one, passes from one
 * environment to another. Bounded: the agent that was used longest ago makes room, once its calls have ended.
 */
export class EnvironmentAgents {
  readonly #connect: buildConnector.connector;
  readonly #agentsMax: number;
  /** In the order of their last use. */
  readonly #agents = new Map<string, Agent>();
  readonly #closing = new Map<Agent, Promise<void>>();
  readonly #newClient = (origin: URL, options: Client.Options) =>
    new KeptClient(origin, { ...options, connect: this.#connect });

  constructor(connect: buildConnector.connector, { agentsMax }: { agentsMax: number }) {
    this.#connect = connect;
    this.#agentsMax = agentsMax;
  }

  /** The agent of an environment. It has to be used before the next `await`: it may be closed any time after. */
  agentOf(environmentId: string): Agent {
    const agent = this.#agents.get(environmentId) ?? this.#newAgent();
    this.#agents.delete(environmentId);
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
    const [oldest] = this.#agents;
    if (oldest !== undefined && this.#agents.size >= this.#agentsMax) this.#close(...oldest);
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

  #close(environmentId: string, agent: Agent): void {
    this.#agents.delete(environmentId);
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
