/**
 * A part of the process that runs between `start` and `stop`.
 *
 * After `stop()` has settled, nothing of the service runs any more. Stopping twice, or before starting, does nothing.
 * test/services.test.ts checks every service for this.
 */
export interface Service {
  start(): Promise<void>;
  stop(): Promise<void>;
}
