// The parts of several views: headings, tags, tables, buttons, and what shows while there is nothing.

import { Unreachable } from "./api.js";
import { element } from "./dom.js";
import { indented } from "./format.js";
import { linkTo, typeOf } from "./words.js";

const FIRST_SCREEN = 30; // rows of a table: more than a screen has
const PORTION = 50; // rows that are made in one go after that: some 10 ms
const LONGEST_ID = 40; // characters; upstream's and relay's own have 32 or 36

/** The heading of a view, with what stands beside it. */
export function heading(title, ...beside) {
  return element("div", { class: "heading" }, element("h1", { tabindex: "-1" }, title), ...beside);
}

/** A coloured word: the colour repeats what the word says. */
export function tag(text, tone) {
  return element("span", { class: `tag ${tone}` }, element("span", { class: "dot" }), text);
}

export function typeTag(event) {
  const { title, tone } = typeOf(event);
  return tag(title, tone);
}

/** An id that links to the timeline of what it names. */
export function subjectLink(subject) {
  return element("a", { class: "id", href: linkTo(subject), title: subject }, subject);
}

/** An id in a heading. One of the usual length stays on one line. */
export function wholeId(id) {
  return element("span", { class: id.length > LONGEST_ID ? "id whole long" : "id whole" }, id);
}

/** Terms and what they are; what is unknown is a dash. */
export function facts(pairs) {
  const rows = pairs.map(([term, value]) =>
    element("div", {}, element("dt", {}, term), element("dd", {}, value ?? element("span", { class: "muted" }, "–"))),
  );
  return element("dl", { class: "facts" }, ...rows);
}

/** A text as it is, JSON with its lines broken; it scrolls by itself, so it can be reached by the keyboard. */
export function verbatim(text, name) {
  return element("pre", { tabindex: "0", role: "region", "aria-label": name }, indented(text));
}

export function button(text, { kind = null, ...attributes }) {
  return element("button", { type: "button", class: kind, ...attributes }, text);
}

/** Instead of a list that is empty. */
export function nothing(title, text) {
  return element("div", { class: "nothing" }, element("p", { class: "lead" }, title), element("p", {}, text));
}

/** What went wrong, why, what to do, and a way to try again. */
export function failure(error, retry) {
  return element(
    "div",
    { class: "failure", role: "alert" },
    element("p", { class: "lead" }, `${error.message}.`),
    error.detail && element("p", {}, error.detail),
    error.hint && element("p", {}, error.hint),
    retry && button("Try again", { onclick: retry }),
  );
}

/** Fills `place` with what `load` answers; with what went wrong otherwise. Answers whether it went well. */
export async function fill(place, load, signal) {
  place.setAttribute("aria-busy", "true");
  try {
    const content = await load();
    if (signal.aborted) return false;
    place.replaceChildren(...[content].flat());
    return true;
  } catch (error) {
    if (signal.aborted || error.name === "AbortError") return false;
    if (error.status !== 401) place.replaceChildren(failure(error, () => fill(place, load, signal)));
    if (!(error instanceof Unreachable) && error.status === undefined) throw error; // ours: it belongs into the log
    return false;
  } finally {
    place.removeAttribute("aria-busy");
  }
}

/** Calls `refresh` every so many milliseconds while the view is there and seen; less often where it takes long. */
export function repeatedly(refresh, milliseconds, signal) {
  let timer = setTimeout(again, milliseconds);
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });

  async function again() {
    const began = performance.now();
    try {
      if (!document.hidden) await refresh();
    } finally {
      const pause = Math.max(milliseconds, 10 * (performance.now() - began));
      if (!signal.aborted) timer = setTimeout(again, pause);
    }
  }
}

/**
 * A table that becomes a list of cards where there is no room for its columns. A column is its name, or
 * `{name, href, sorted}`: its heading leads to the list sorted by it, the highest first.
 */
export function table(name, columns, rows) {
  return laidOut(name, columns, rows.map((cells) => rowOf(columns, cells)));
}

/**
 * The same of `items`: those on the first screen are there at once, and the others when that is painted, a portion at a
 * time, so that a click in between is answered. `grown` is called when all are there.
 */
export function growingTable(name, columns, items, cellsOf, grown = () => {}) {
  const made = (some) => some.map((item) => rowOf(columns, cellsOf(item)));
  const whole = laidOut(name, columns, made(items.slice(0, FIRST_SCREEN)));
  const grow = (from) => {
    if (from >= items.length) return grown();
    whole.tBodies[0].append(...made(items.slice(from, from + PORTION)));
    setTimeout(grow, 0, from + PORTION);
  };
  requestAnimationFrame(() => setTimeout(grow, 0, FIRST_SCREEN));
  return whole;
}

function laidOut(name, columns, body) {
  const head = columns.map((column) => element("th", { scope: "col", "aria-sort": column.sorted && "descending" }, headingOf(column)));
  return element(
    "table",
    { class: "cards", "aria-label": name },
    element("thead", {}, element("tr", {}, ...head)),
    element("tbody", {}, ...body),
  );
}

function rowOf(columns, cells) {
  return element("tr", {}, ...cells.map((cell, at) => element("td", { "data-column": nameOf(columns[at]) }, element("div", {}, ...[cell ?? "–"].flat()))));
}

function nameOf(column) {
  return column.name ?? column;
}

function headingOf(column) {
  return column.href ? element("a", { href: column.href }, column.name, column.sorted && element("span", { "aria-hidden": "true" }, " ↓")) : column;
}
