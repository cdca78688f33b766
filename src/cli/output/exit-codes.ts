/** Exit codes. Scripts depend on them. */
export const exitCodes = {
  done: 0,
  error: 1,
  usage: 2,
  unauthorized: 4,
  /** The execution ended ERRORED, STOPPED or TIMED_OUT. */
  notCompleted: 5,
  /** The wait ended before the execution did. */
  stillRunning: 6,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];
