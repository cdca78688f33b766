/**
 * JSONata calls the function under this name after each step of an evaluation, which is how a query is bounded. The hook is
 * not documented; a test of its own ("JSONata still calls its exit hook after each step") fails when a release drops it.
 */
export const exitHook = Symbol.for("jsonata.__evaluate_exit");

/** The `this` of a function that JSONata calls. */
export type FunctionContext = { readonly environment: { lookup(name: string | symbol): unknown } };
