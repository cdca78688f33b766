/** Every bound of the socket layer. Times are in milliseconds. */
export type ServerLimits = {
  /** Open connections; further ones are closed as they come. */
  readonly connectionsMax: number;
  /** Open connections from one address, a share of all. Callers behind one proxy share its address: raise it there. */
  readonly connectionsPerAddressMax: number;
  /** Look-ups of keys without a checksum that are not known: in a second for one address, and at a time in all. */
  readonly keyLookUpsPerAddressMax: number;
  readonly keyLookUpsWaitingMax: number;
  /** Refusals for a bad key, or none, that one address is told at once in a second; and how long further ones wait. */
  readonly refusedKeysPerAddressMax: number;
  readonly refusedKeyMs: number;
  /**
   * Refusals for other reasons that one address is told in a second where no key is shown; who goes on is cut, and its
   * further connections begin one at a time, so many milliseconds apart.
   */
  readonly refusalsPerAddressMax: number;
  readonly connectionTurnMs: number;
  /** Bytes of the headers of one request, over HTTP/1.1 and HTTP/2. */
  readonly headerBytesMax: number;
  /** Requests at a time on one connection of HTTP/2: its concurrent streams. */
  readonly requestsAtATimeMax: number;
  /** Requests of one address that are begun in one turn of the event loop; further ones are read in the next. */
  readonly requestsPerTurnMax: number;
  /** Requests at a time on one connection of HTTP/1.1, where further ones are sent before the first is answered (pipelining). */
  readonly requestsAheadMax: number;
  /** Bytes of bodies, and of replies that are not taken, at a time: in all, with one key, on one connection. */
  readonly bodyBytesMax: number;
  readonly keyBodyBytesMax: number;
  readonly connectionBodyBytesMax: number;
  /** Calls with a key under way, those left out that only wait: in all, and of one environment. */
  readonly callsMax: number;
  readonly environmentCallsMax: number;
  /** Calls of one environment that only wait, for the end of an execution or for events. */
  readonly environmentWaitingMax: number;
  /** Requests without a key at a time, until their replies are taken: in all, and of one address. Others are cut. */
  readonly keylessRequestsMax: number;
  readonly keylessRequestsPerAddressMax: number;
  /** Streams at a time that need no key (gRPC reflection, and Watch of gRPC health): in all, and of one address. */
  readonly openStreamsMax: number;
  readonly openStreamsPerAddressMax: number;
  /** From a connection's first packet until its first bytes say which HTTP it speaks. */
  readonly firstBytesMs: number;
  /** From there until the headers of a request are complete; for HTTP/2 until the first request. */
  readonly headersMs: number;
  /** From the moment a body is asked for until it is complete. */
  readonly bodyMs: number;
  /** How long a connection may stay open between two requests. */
  readonly idleMs: number;
  /** From the end of a reply until the client has taken it, and how many bytes of it are worth a millisecond more. */
  readonly replyMs: number;
  readonly replyBytesPerMsMin: number;
  /** How much of a body that nobody wants is read so that its sender sees the reply, and for how long. */
  readonly lingerBytesMax: number;
  readonly lingerMs: number;
  /** After `stop()`: how long a connection that has said nothing yet may take to say what it wants. */
  readonly lastBytesMs: number;
  /** How long requests in flight may go on after `stop()`; and how long, once cut, they may take to settle. */
  readonly drainMs: number;
  readonly settleMs: number;
};

const mebibyte = 1024 ** 2;

export const defaultServerLimits: ServerLimits = {
  connectionsMax: 16_384,
  connectionsPerAddressMax: 5_000,
  keyLookUpsPerAddressMax: 1_000,
  keyLookUpsWaitingMax: 10_000,
  refusedKeysPerAddressMax: 200,
  refusedKeyMs: 2_000,
  refusalsPerAddressMax: 100,
  connectionTurnMs: 10,
  headerBytesMax: 16 * 1024,
  requestsAtATimeMax: 128,
  requestsPerTurnMax: 64,
  requestsAheadMax: 8,
  bodyBytesMax: 256 * mebibyte,
  keyBodyBytesMax: 64 * mebibyte,
  connectionBodyBytesMax: 32 * mebibyte,
  callsMax: 4_096,
  environmentCallsMax: 1_024,
  environmentWaitingMax: 4_096,
  keylessRequestsMax: 4_096,
  keylessRequestsPerAddressMax: 1_024,
  openStreamsMax: 1_024,
  openStreamsPerAddressMax: 128,
  firstBytesMs: 5_000,
  headersMs: 10_000,
  bodyMs: 15_000,
  idleMs: 75_000,
  replyMs: 15_000,
  replyBytesPerMsMin: 32,
  lingerBytesMax: 256 * 1024,
  lingerMs: 2_000,
  lastBytesMs: 250,
  drainMs: 10_000,
  settleMs: 2_000,
};
