/** What is shown in the place of what a workflow hides. */
export const redacted = "[REDACTED]";
