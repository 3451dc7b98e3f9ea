// A list of the API in pages: its states, its filters, its order, and a table that follows while nobody acts in it.

import { ask, withQuery } from "./api.js";
import { element } from "./dom.js";
import { addressOf, filters, propose, states } from "./filters.js";
import { clock } from "./format.js";
import { fill, growingTable, heading, nothing, repeatedly, table } from "./parts.js";

const PAGE = 100;
const STILL = 30_000; // ms; what is sorted, or further back, changes little, and takes longer to find
const LOOKS = 5; // empty pages that are passed by themselves: relay looks through so much for each

/**
 * The content of the view `name`. `list` has its `title`, the `path` and the `key` of its items in the answer, `states`
 * with the usual one first, `fields` (see filters.js), `columns` (a name, or `{name, sort}` for one that sorts), `rowOf`,
 * `noteOf` a page, `known` (the values to propose for a field, of each item), how often to `refresh`, and what is said
 * where it is `empty`.
 */
export function listView(name, list, { query, go, signal }) {
  const state = query.get("state") ?? list.states[0];
  const place = element("div", { class: "list" });
  const load = () => contentOf(name, list, state, query, signal, place.firstChild ? wholeTable : growingTable);
  fill(place, load, signal);
  const follows = !query.has("sort") && !query.has("before");
  repeatedly(() => place.contains(document.activeElement) || fill(place, load, signal), follows ? list.refresh : STILL, signal);
  return [heading(list.title), states(name, query, list.states, state), ...filters(name, query, list.fields, go), place];
}

async function contentOf(name, list, state, query, signal, made) {
  const page = await pageOf(list, state, query, signal);
  const items = page[list.key];
  for (const [field, valueOf] of Object.entries(list.known)) propose(field, items.map(valueOf).filter(Boolean));
  const before = page.next && `${addressOf(name, query, { state })}&before=${encodeURIComponent(page.next)}`;
  const body = items.length ? [made(list.title, columnsOf(name, list, query), items, list.rowOf)] : emptyOf(list, state, query, before);
  return [
    list.noteOf?.(page),
    page.searched_since && note("Sorted are those since ", clock(page.searched_since), ". For older ones, set To."),
    ...body,
    before && element("p", {}, element("a", { href: before }, items.length ? "The next page" : "Search further back")),
  ].filter(Boolean);
}

/** At once, where its reader may be further down already. */
function wholeTable(name, columns, items, cellsOf) {
  return table(name, columns, items.map(cellsOf));
}

/** The page that was asked for, or the first behind it that holds something. */
async function pageOf(list, state, query, signal) {
  const asked = Object.fromEntries(list.fields.map(({ name }) => [name, query.get(name)]));
  const page = (before) => ask(withQuery(list.path, { ...asked, state, before, limit: PAGE }), { signal });
  let found = await page(query.get("before"));
  for (let looks = 1; looks < LOOKS && !found[list.key].length && found.next; looks += 1) found = await page(found.next);
  return found;
}

function columnsOf(name, list, query) {
  return list.columns.map((column) => {
    if (!column.sort) return column;
    const sorted = query.get("sort") === column.sort;
    return { name: column.name, href: addressOf(name, query, { sort: sorted ? "" : column.sort }), sorted };
  });
}

function emptyOf(list, state, query, before) {
  if (before) return [nothing("Nothing found yet", "relay has looked through a part of its journal. Older events may match.")];
  const filtered = list.fields.some(({ name }) => name !== "sort" && query.get(name));
  return [filtered ? nothing("Nothing matches", "Change a filter, or clear them.") : nothing(...list.empty(state))];
}

function note(...content) {
  return element("p", { class: "muted" }, ...content);
}
