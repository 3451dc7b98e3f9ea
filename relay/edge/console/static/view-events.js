// Live events: filters that the journal answers over any time, pause, and a list of bounded length, the newest first.

import { access } from "./api.js";
import { element, icon } from "./dom.js";
import { ALL, CAPACITY, feed, MOST } from "./feed.js";
import { filters } from "./filters.js";
import { clock, count, counted } from "./format.js";
import { button, failure, heading, subjectLink, tag, typeTag, verbatim } from "./parts.js";
import { status } from "./status.js";
import { summaryOf, TOPICS, TYPES } from "./words.js";

const FILTERS = ["topic", "type", "subject", "since", "until"];

let lastHeard = feed.state.name;

access.addEventListener("token", () => feed.restart());
feed.addEventListener("begin", () => status.forget((path) => path.startsWith("/v1/events")));
feed.addEventListener("state", () => {
  if (feed.state.name === lastHeard) return;
  lastHeard = feed.state.name;
  if (lastHeard === "lost" || lastHeard === "live") status.refresh(); // the stream hears first that relay went or came
});

export function list({ query, go, signal }) {
  const wanted = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]));
  const rows = element("ol", { class: "events", "aria-label": "Events, the newest first" });
  const empty = element("div", { class: "nothing", hidden: true });
  const older = element("div", { class: "older" });
  const state = element("span", { class: "state" });
  const hold = element("button", { type: "button", class: "hold", "aria-keyshortcuts": "p", onclick: toggle });
  const shown = element("p", { class: "muted shown" });

  feed.addEventListener("rows", ({ detail }) => change(rows, detail), { signal });
  feed.addEventListener("state", tell, { signal });
  feed.start(wanted);
  rows.append(...feed.rows.map(rowOf));
  tell();
  return [heading("Live events", state, hold), ...filters("events", query, fieldsOf(wanted), go, fitting), shown, rows, empty, older];

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

function toggle() {
  if (feed.paused) feed.resume();
  else feed.pause();
}

function change(list, detail) {
  if (!detail) return list.replaceChildren();
  if (detail.older) return list.append(...detail.older.map(rowOf));
  list.prepend(...detail.newer.map(rowOf));
  while (list.children.length > feed.rows.length) list.lastElementChild.remove();
}

function rowOf(entry) {
  const { offset, event } = entry;
  const more = element("button", { type: "button", class: "more", "aria-expanded": "false", "data-row": true }, icon("open"));
  more.setAttribute("aria-label", `Offset ${offset}: the whole event`);
  const row = element(
    "li",
    { class: "event", "data-offset": String(offset) },
    more,
    clock(event.time),
    typeTag(event),
    subjectLink(event.subject),
    element("span", { class: "summary" }, summaryOf(entry)),
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

/** The fields of the filters (see filters.js); a topic leaves only types of its own. */
function fieldsOf({ topic }) {
  const types = Object.keys(TYPES).filter((type) => isOf(type, topic));
  return [
    { name: "topic", label: "Topic", choices: [["", "All but chunks"], [ALL, "All topics"], ...TOPICS.map((each) => [each, each])] },
    { name: "type", label: "Type", choices: [["", "All types"], ...types.map((each) => [each, each])] },
    { name: "subject", label: "Subject", placeholder: "Any task or chat" },
    { name: "since", label: "From", is: "time" },
    { name: "until", label: "To", is: "time" },
  ];
}

function fitting(chosen) {
  return isOf(chosen.type, chosen.topic) ? chosen : { ...chosen, type: "" };
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
