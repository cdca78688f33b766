/** A text that the author of a query can act on, thrown by a function of ours. */
export class QueryError extends Error {}
