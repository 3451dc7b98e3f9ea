// Builds the page. Text only ever becomes text, and an address is only ever one of http, https or this page:
// whatever strangers wrote into an event, nothing here can make it markup or script.

const SVG = "http://www.w3.org/2000/svg";
const ADDRESSES = new Set(["href", "src"]);

/**
 * An element with attributes, listeners (`onclick`) and children, which are nodes or texts.
 * A value of null, undefined or false leaves an attribute or a child out; true is an attribute without a value.
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (absent(value)) continue;
    if (typeof value === "function") made.addEventListener(key.slice("on".length), value);
    else if (!ADDRESSES.has(key) || value.startsWith("#/") || isWebAddress(value)) {
      made.setAttribute(key, value === true ? "" : value);
    }
  }
  made.append(...children.flat().filter((child) => !absent(child)));
  return made;
}

/** An element of a drawing (SVG), with attributes and children; a value of null or undefined is left out. */
export function drawing(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) absent(value) || ADDRESSES.has(key) || made.setAttribute(key, value);
  made.append(...children.flat(2).filter((child) => !absent(child)));
  return made;
}

/** One of the page's icons. It says nothing to a screen reader: the text beside it does. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** Whether a text is an absolute address of the web: `javascript:`, `data:` and what is no address are not. */
export function isWebAddress(text) {
  const url = URL.parse ? URL.parse(text) : parsed(text);
  return url !== null && (url.protocol === "https:" || url.protocol === "http:");
}

/** Words for a screen reader alone. */
export function unseen(text) {
  return element("span", { class: "unseen" }, text);
}

function absent(value) {
  return value === null || value === undefined || value === false;
}

function parsed(text) {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}
