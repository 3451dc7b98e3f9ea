// Live events: filters that the journal answers over any time, pause, and a list of bounded length, the newest first.

import { element, icon } from "./dom.js";
import { ALL, CAPACITY, feed, MOST } from "./feed.js";
import { choice, labelled, time, valueOf } from "./filters.js";
import { clock, count, counted } from "./format.js";
import { button, failure, heading, subjectLink, tag, typeTag, verbatim } from "./parts.js";
import { summaryOf, TOPICS, TYPES } from "./words.js";

const FILTERS = ["topic", "type", "subject", "since", "until"];

export function show({ query, go, signal }) {
  const wanted = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]));
  const list = element("ol", { class: "events", "aria-label": "Events, the newest first" });
  const empty = element("div", { class: "nothing", hidden: true });
  const older = element("div", { class: "older" });
  const state = element("span", { class: "state" });
  const hold = element("button", { type: "button", class: "hold", "aria-keyshortcuts": "p", onclick: toggle });
  const shown = element("p", { class: "muted shown" });

  feed.addEventListener("rows", ({ detail }) => change(list, detail), { signal });
  feed.addEventListener("state", tell, { signal });
  feed.start(wanted);
  list.append(...feed.rows.map(rowOf));
  tell();
  return [heading("Live events", state, hold), filters(wanted, go), shown, list, empty, older];

  function tell() {
    state.replaceChildren(stateTag(feed.state, feed.paused));
    const waiting = feed.paused && feed.waiting ? ` · ${count(feed.waiting)} waiting` : "";
    hold.replaceChildren(icon(feed.paused ? "play" : "pause"), feed.paused ? `Resume${waiting}` : "Pause");
    hold.classList.toggle("chief", feed.paused);
    hold.hidden = Boolean(wanted.until);
    shown.textContent = shownText();
    empty.hidden = feed.rows.length > 0 || feed.loading || !["live", "still", "refused"].includes(feed.state.name);
    empty.replaceChildren(...emptyText(wanted));
    replaceIfOther(older, olderPart(wanted));
  }
}

/** Pauses, or goes on. */
export function toggle() {
  if (feed.wanted.until) return;
  if (feed.paused) feed.resume();
  else feed.pause();
}

function change(list, detail) {
  if (!detail) return list.replaceChildren();
  if (detail.older) return list.append(...detail.older.map(rowOf));
  list.prepend(...detail.newer.map(rowOf));
  while (list.children.length > feed.rows.length) list.lastElementChild.remove();
}

function rowOf({ offset, event }) {
  const more = element("button", { type: "button", class: "more", "aria-expanded": "false", "data-row": true }, icon("open"));
  more.setAttribute("aria-label", `Offset ${offset}: the whole event`);
  const row = element(
    "li",
    { class: "event", "data-offset": String(offset) },
    more,
    clock(event.time),
    typeTag(event),
    subjectLink(event.subject),
    element("span", { class: "summary" }, summaryOf(event)),
    element("span", { class: "offset", title: "Offset in the journal" }, String(offset)),
  );
  more.addEventListener("click", () => expand(row, more, event));
  return row;
}

function expand(row, more, event) {
  const open = more.getAttribute("aria-expanded") !== "true";
  more.setAttribute("aria-expanded", String(open));
  if (open) row.append(verbatim(JSON.stringify(event), "The event"));
  else row.querySelector("pre").remove();
}

function filters(wanted, go) {
  const topics = [["", "All but chunks"], [ALL, "All topics"], ...TOPICS.map((topic) => [topic, topic])];
  const topic = choice("filter-topic", topics, wanted.topic);
  const fitting = Object.keys(TYPES).filter((type) => isOf(type, wanted.topic));
  const type = choice("filter-type", [["", "All types"], ...fitting.map((each) => [each, each])], wanted.type);
  const subject = element("input", {
    id: "filter-subject", type: "text", value: wanted.subject, placeholder: "Any task or chat", autocomplete: "off",
    spellcheck: "false", maxlength: "128",
  });
  const since = time("filter-since", wanted.since);
  const until = time("filter-until", wanted.until);
  const form = element(
    "form",
    { class: "filters", "aria-label": "Filters" },
    labelled("filter-topic", "Topic", topic),
    labelled("filter-type", "Type", type),
    labelled("filter-subject", "Subject", subject),
    labelled("filter-since", "From", since),
    labelled("filter-until", "To", until),
    element(
      "div",
      { class: "choices" },
      element("button", { type: "submit" }, "Apply"),
      FILTERS.some((name) => wanted[name]) && button("Clear", { kind: "plain", onclick: () => go("#/events") }),
    ),
  );
  const apply = () => {
    const fields = { topic, type, subject, since, until };
    const chosen = Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, valueOf(field)]));
    if (!isOf(chosen.type, chosen.topic)) chosen.type = "";
    const given = Object.entries(chosen).filter(([, value]) => value);
    go(given.length ? `#/events?${new URLSearchParams(given)}` : "#/events");
  };
  for (const field of [topic, type, subject]) field.addEventListener("change", apply); // a time changes with each digit
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    apply();
  });
  return form;
}

function isOf(type, topic) {
  return !topic || topic === ALL || TYPES[type]?.topic === topic;
}

function stateTag({ name, error }, paused) {
  if (name === "live") return paused ? tag("Paused", "odd") : tag("Live", "good");
  if (name === "still") return tag("Not live: To is set", "calm");
  if (name === "unauthorized") return tag("Needs a token", "bad");
  if (name === "connecting") return tag("Connecting", "calm");
  if (name === "refused") return tag("Refused", "bad");
  return tag(error?.status ? "Refused, retrying" : "Connection lost, retrying", "bad");
}

function shownText() {
  const lost = feed.paused && feed.waiting > CAPACITY ? ` Of those waiting, the newest ${count(CAPACITY)} will be shown.` : "";
  return feed.rows.length ? `${counted(feed.rows.length, "event")}, the newest first.${lost}` : lost;
}

function emptyText(wanted) {
  if (feed.state.name === "refused") return [failure(feed.state.error, null)];
  const filtered = FILTERS.some((name) => wanted[name]);
  return [
    element("p", { class: "lead" }, filtered ? "Nothing matches" : "No events yet"),
    element("p", {}, filtered
      ? `relay searched ${searchedText(wanted)}${wanted.until ? "" : " New events that match appear here."}`
      : "Deliver a webhook, submit a task or send a chat through relay, and it appears here."),
  ];
}

function searchedText({ since, until }) {
  if (feed.reached !== null) return `its journal down to offset ${count(feed.reached)}.`;
  return since || until ? "the whole time range." : "its whole journal.";
}

/** What stands below the list: what can be done to see more, or why there is no more. */
function olderPart(wanted) {
  if (feed.trouble) return [failure(feed.trouble, () => feed.loadOlder())];
  if (feed.loading) return [element("p", { class: "muted" }, `Searching below offset ${count(feed.reached)} …`)];
  if (feed.rows.length >= MOST) return [element("p", { class: "muted" }, `The list is full. To see older events, set From and To.`)];
  if (feed.reached !== null && feed.state.name !== "connecting") return [button("Load older", { onclick: () => feed.loadOlder() })];
  if (!feed.rows.length) return [];
  return [element("p", { class: "muted" }, wanted.since ? "Nothing older in this time range." : "The journal holds nothing older.")];
}

/** Leaves what stands there, and the focus in it, where the new is the same. */
function replaceIfOther(place, content) {
  if (place.textContent === content.map((each) => each.textContent).join("") && content.length) return;
  place.replaceChildren(...content);
}
