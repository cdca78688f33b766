import { readBraces, templateEnd } from "../templates/template-syntax.ts";

/** A text in which `{{connection.<name>}}` stands for a credential: literal pieces and the names of credentials. */
export type CredentialText = readonly CredentialPiece[];

export type CredentialPiece = string | { readonly name: string };

/** Gives a credential by its name. */
export type ReadCredential = (name: string) => string;

/** A problem of such a text, which follows the name of its field: "…". */
export class CredentialTextError extends Error {}

/** Parses a text with credentials. Throws CredentialTextError. */
export function parseCredentialText(text: string): CredentialText {
  const pieces: CredentialPiece[] = [];
  let position = 0;
  for (let open = text.indexOf("{{"); open >= 0; open = text.indexOf("{{", position)) {
    const braces = readBraces(text, open);
    pieces.push(text.slice(position, open) + braces.text);
    position = braces.end;
    if (!braces.opensTemplate) {
      continue;
    }
    const close = templateEnd(text, position);
    if (close < 0) {
      throw new CredentialTextError('has a template without an end. Close it with "}}"');
    }
    pieces.push({ name: nameIn(text.slice(position + 2, close).trim()) });
    position = close + 2;
  }
  pieces.push(text.slice(position));
  return pieces.filter((piece) => piece !== "");
}

/** Credentials are named as PutConnection takes them. */
function nameIn(template: string): string {
  const [, name] = /^connection\.([A-Za-z0-9][A-Za-z0-9._-]{0,127})$/.exec(template) ?? [];
  if (name === undefined) {
    throw new CredentialTextError(`has "{{${template}}}". Only {{connection.<name>}} can stand here`);
  }
  return name;
}

export function namesIn(text: CredentialText): readonly string[] {
  return text.flatMap((piece) => (typeof piece === "string" ? [] : [piece.name]));
}

export function renderCredentials(text: CredentialText, read: ReadCredential): string {
  return text.map((piece) => (typeof piece === "string" ? piece : read(piece.name))).join("");
}
