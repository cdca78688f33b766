/** A method of a store, which takes and answers what only its callers know. */
export type Method = (...args: readonly unknown[]) => Promise<unknown>;

/** The same object but for some of its methods, each made of the one it replaces. */
export function decorate<T extends object>(target: T, methods: Readonly<Record<string, (call: Method) => Method>>): T {
  return new Proxy(target, {
    get: (_, name) => {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== "function") {
        return member;
      }
      // All that a store has and others call are methods.
      const bound = member.bind(target) as Method;
      return (typeof name === "string" && methods[name]?.(bound)) || bound;
    },
  });
}
