// Elements by hand. Text is only ever set as text: nothing that a server says becomes markup.

/** An element with attributes and children; a child that is a string is text. */
export function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined) {
      element.setAttribute(key, value);
    }
  }
  element.append(...children);
  return element;
}

/** A comment in paragraphs and lists: what stands between backticks is code. */
export function prose(text) {
  return text.split(/\n\n|\n(?=- )/).map((part) => {
    const words = part.replace(/^- /, "").split("`");
    const inner = words.map((word, index) => (index % 2 === 0 ? word : make("code", {}, word)));
    return make("p", { class: part.startsWith("- ") ? "item" : undefined }, ...inner);
  });
}
