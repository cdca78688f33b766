/** Where an execution's nodes read the variables of its environment. They are read each time that they are used. */
export type VariableSource = {
  /** Those of these names that there are. */
  read(names: readonly string[]): Promise<ReadonlyMap<string, ReadVariable>>;
};

export type ReadVariable = {
  readonly value: string;
  /** The hosts that a secret may be sent to; undefined where it is none. */
  readonly hosts: readonly string[] | undefined;
};
