/**
 * Why a signal aborts that ends a wait which nobody needs any more. It is made once: an abort without a reason makes a
 * DOMException with its trace, for each call several, and nobody reads it.
 */
export const noLongerNeeded = new Error("what was waited for is over");
