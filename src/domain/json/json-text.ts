/** JSON text that was checked where it came in: within its limits, and storable as it is. */
export type JsonText = string & { readonly [jsonText]: true };

declare const jsonText: unique symbol;
