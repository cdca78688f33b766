/** An error of a query whose message tells its author what to do. Functions of ours and watches throw it. */
export class QueryError extends Error {}
