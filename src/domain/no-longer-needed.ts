/**
 * The abort reason of a wait that is no longer needed. It is one shared object: an abort without a reason creates a
 * DOMException with a stack trace, several for each call.
 */
export const noLongerNeeded = new Error("The wait is no longer needed.");
