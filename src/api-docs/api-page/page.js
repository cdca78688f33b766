// Draws the API from /openapi.json, and calls it: the list of methods, and the one that the address names.

import { api, operations, schemaNames } from "./api.js";
import { make } from "./dom.js";
import { operationPage } from "./operation.js";
import { schemaPage } from "./schema.js";

const byId = (id) => document.getElementById(id);
const [keyInput, main, list, menu, search] = ["key", "operation", "operations", "menu", "search"].map(byId);

/** The key is kept for this tab, as long as it is open. */
const keyName = "flowcall API key";
keyInput.value = sessionStorage.getItem(keyName) ?? "";
keyInput.addEventListener("input", () => sessionStorage.setItem(keyName, keyInput.value));

function listLink(href, text, verb) {
  const mark = verb === undefined ? [] : [make("span", { class: `verb ${verb}` }, verb.toUpperCase())];
  return make("a", { href }, ...mark, text);
}

/** The sections of the list, each link with what a search looks through. */
const sections = [
  ...api.tags.map(({ name, "x-displayName": heading }) => ({
    heading: heading ?? name,
    links: operations
      .filter(({ tags }) => tags.includes(name))
      .map(({ verb, path, operationId, summary, description }) => ({
        link: listLink(`#${operationId}`, summary, verb),
        text: `${summary} ${operationId} ${path} ${description}`.toLowerCase(),
      })),
  })),
  {
    heading: "Schemas",
    isSearchedOnly: true,
    links: schemaNames.map((name) => ({ link: listLink(`#schema/${name}`, name), text: name.toLowerCase() })),
  },
];

function drawList() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = sections
    .filter(({ isSearchedOnly }) => words.length > 0 || !isSearchedOnly)
    .map(({ heading, links }) => ({
      heading,
      links: links.filter(({ text }) => words.every((word) => text.includes(word))).map(({ link }) => link),
    }))
    .filter(({ links }) => links.length > 0);
  if (shown.length === 0) {
    list.replaceChildren(make("p", { class: "dim" }, "Nothing is called so."));
  } else {
    list.replaceChildren(...shown.flatMap(({ heading, links }) => [make("h2", {}, heading), ...links]));
  }
}

function setMenu(isOpen) {
  document.body.classList.toggle("menu-open", isOpen);
  menu.setAttribute("aria-expanded", String(isOpen));
}

let leave = () => undefined;

/** Shows what the address names, or the first method, from its beginning. */
function route() {
  leave();
  leave = () => undefined;
  setMenu(false);
  const id = decodeURIComponent(location.hash.slice(1));
  const schema = id.startsWith("schema/") ? schemaPage(id.slice("schema/".length)) : undefined;
  if (schema === undefined) {
    const operation = operations.find(({ operationId }) => operationId === id) ?? operations[0];
    const page = operationPage(operation, () => keyInput.value);
    leave = page.leave;
    main.replaceChildren(...page.parts);
    mark(`#${operation.operationId}`);
  } else {
    main.replaceChildren(...schema);
    mark(`#${id}`);
  }
  scrollTo(0, 0);
}

function mark(hash) {
  for (const { links } of sections) {
    for (const { link } of links) {
      if (link.hash === hash) {
        link.setAttribute("aria-current", "page");
      } else {
        link.removeAttribute("aria-current");
      }
    }
  }
  list.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
}

byId("version").textContent = api.info.version;
menu.addEventListener("click", () => setMenu(!document.body.classList.contains("menu-open")));
search.addEventListener("input", drawList);
search.addEventListener("keydown", (event) => {
  if (event.key === "Enter") {
    list.querySelector("a")?.click();
  }
});
addEventListener("hashchange", route);
drawList();
route();
