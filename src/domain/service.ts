/**
 * A part of the process that runs between `start` and `stop`.
 *
 * After `stop()` has settled nothing of the service runs. Stopping twice, or before starting, does nothing.
 */
export interface Service {
  start(): Promise<void>;
  stop(): Promise<void>;
}
