// The filters of a list. They stand in the address, so that what is seen can be handed on as a link.

import { element, icon } from "./dom.js";
import { localTime } from "./format.js";
import { button } from "./parts.js";

/** The address of a view with other values in its query ("" for none); its list begins again. */
export function addressOf(view, query, changes = {}) {
  const next = new URLSearchParams(query);
  next.delete("before");
  for (const [name, value] of Object.entries(changes)) {
    if (value) next.set(name, value);
    else next.delete(name);
  }
  return next.size ? `#/${view}?${next}` : `#/${view}`;
}

/** Links to the same list by state; the chosen one is marked. */
export function states(view, query, all, chosen) {
  const links = all.map((state) =>
    element("li", {}, element("a", { href: addressOf(view, query, { state }), "aria-current": state === chosen && "true" }, state)),
  );
  return element("nav", { class: "states", "aria-label": "States" }, element("ul", {}, ...links));
}

let unfolded = false; // on a narrow screen; it stays so while the filters change, one after another

/**
 * A form of `fields`: `{name, label}` and `choices` (`[value, text]` each), or `is: "time"`, or a `placeholder` for a
 * text. A choice or a text applies when it was made, a time with the button: it changes with each digit. `fitting`
 * changes what was chosen (value by name) to what can be together.
 *
 * Before it stands a button that a narrow screen has: it says which are set, and folds the form away.
 */
export function filters(view, query, fields, go, fitting = (chosen) => chosen) {
  const inputs = new Map(fields.map((field) => [field.name, inputOf(field, query.get(field.name) ?? "")]));
  const given = fields.filter(({ name }) => query.get(name));
  const cleared = addressOf(view, query, Object.fromEntries(fields.map(({ name }) => [name, ""])));
  const form = element(
    "form",
    { class: "filters", id: "filters", "aria-label": "Filters" },
    ...fields.map(({ name, label, choices, is }) => labelled(`filter-${name}`, label, inputs.get(name), !choices && !is && known(name))),
    element(
      "div",
      { class: "choices" },
      element("button", { type: "submit" }, "Apply"),
      given.length > 0 && button("Clear", { kind: "plain", onclick: () => go(cleared) }),
    ),
  );
  const apply = (event) => {
    event.preventDefault();
    const chosen = Object.fromEntries([...inputs].map(([name, input]) => [name, valueOf(input)]));
    go(addressOf(view, query, fitting(chosen)));
  };
  form.addEventListener("submit", apply);
  form.addEventListener("change", (event) => event.target.type === "datetime-local" || apply(event));
  return [foldOf(given, inputs), form];
}

function foldOf(given, inputs) {
  const set = given.map(({ name, label }) => `${label} ${shownIn(inputs.get(name))}`).join(" · ");
  const fold = button(set ? `Filters: ${set}` : "Filters", { kind: "fold", "aria-controls": "filters", "aria-expanded": String(unfolded) });
  fold.prepend(icon("open"));
  fold.addEventListener("click", () => {
    unfolded = !unfolded;
    fold.setAttribute("aria-expanded", String(unfolded));
  });
  return fold;
}

/** What a field says, for its reader. */
function shownIn({ selectedOptions, value, type }) {
  return selectedOptions?.[0].textContent ?? (type === "datetime-local" ? value.replace("T", " ") : value);
}

/** What the text field of a name proposes; the rest can be typed. */
export function propose(name, values) {
  const options = [...new Set(values)].sort().map((value) => element("option", { value }));
  document.getElementById(`known-${name}`)?.replaceChildren(...options);
}

function inputOf({ name, choices, is, placeholder }, given) {
  const id = `filter-${name}`;
  if (choices) return choice(id, choices, given);
  if (is === "time") return time(id, given);
  return element("input", {
    id, type: "text", value: given, placeholder, list: `known-${name}`, autocomplete: "off", spellcheck: "false", maxlength: "256",
  });
}

/** A choice among values with their names; one that was asked for in the address is among them, known or not. */
function choice(id, values, chosen) {
  const all = values.some(([value]) => value === chosen) ? values : [...values, [chosen, chosen]];
  return element("select", { id }, ...all.map(([value, text]) => element("option", { value, selected: value === chosen }, text)));
}

/** A field for a time in the reader's zone; it keeps what the address says, such as `15m`, until it is changed. */
function time(id, given) {
  const input = element("input", { id, type: "datetime-local", step: "1", value: localTime(given), "data-given": given });
  input.dataset.value = input.value; // which is without seconds where they are zero
  return input;
}

/** What a field says, for the address. */
function valueOf({ type, value, dataset }) {
  if (type !== "datetime-local") return value.trim();
  if (value === dataset.value) return dataset.given;
  return value ? new Date(value).toISOString() : "";
}

function known(name) {
  return element("datalist", { id: `known-${name}` });
}

/** A field, or several, below its name. */
function labelled(id, text, ...fields) {
  return element("div", { class: "field" }, element("label", { for: id }, text), ...fields);
}
