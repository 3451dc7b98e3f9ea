// Live events: filters, pause, and a list of bounded length, the newest first.

import { element, icon } from "./dom.js";
import { ALL, CAPACITY, feed } from "./feed.js";
import { clock, count, counted } from "./format.js";
import { button, heading, subjectLink, tag, typeTag, verbatim } from "./parts.js";
import { summaryOf, TOPICS, TYPES } from "./words.js";

export function show({ query, go, signal }) {
  const wanted = { topic: query.get("topic") ?? "", type: query.get("type") ?? "", subject: query.get("subject") ?? "" };
  const list = element("ol", { class: "events", "aria-label": "Events, the newest first" });
  const empty = element("div", { class: "nothing", hidden: true });
  const state = element("span", { class: "state" });
  const hold = element("button", { type: "button", class: "hold", "aria-keyshortcuts": "p", onclick: toggle });
  const shown = element("p", { class: "muted shown" });

  feed.addEventListener("rows", ({ detail }) => (detail ? add(list, detail) : list.replaceChildren()), { signal });
  feed.addEventListener("state", tell, { signal });
  feed.start(wanted);
  list.append(...feed.rows.map(rowOf));
  tell();
  return [
    heading("Live events", state, hold),
    filters(wanted, go),
    shown,
    list,
    empty,
  ];

  function tell() {
    state.replaceChildren(stateTag(feed.state, feed.paused));
    const waiting = feed.paused && feed.waiting ? ` · ${count(feed.waiting)} waiting` : "";
    hold.replaceChildren(icon(feed.paused ? "play" : "pause"), feed.paused ? `Resume${waiting}` : "Pause");
    hold.classList.toggle("chief", feed.paused);
    shown.textContent = shownText();
    empty.hidden = feed.rows.length > 0;
    empty.replaceChildren(...emptyText(wanted));
  }
}

/** Pauses, or goes on. */
export function toggle() {
  if (feed.paused) feed.resume();
  else feed.pause();
}

function add(list, fresh) {
  list.prepend(...fresh.toReversed().map(rowOf));
  while (list.children.length > CAPACITY) list.lastElementChild.remove();
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
  const form = element(
    "form",
    { class: "filters", "aria-label": "Filters" },
    labelled("filter-topic", "Topic", topic),
    labelled("filter-type", "Type", type),
    labelled("filter-subject", "Subject", subject),
    (wanted.topic || wanted.type || wanted.subject) && button("Clear", { kind: "plain", onclick: () => go("#/events") }),
  );
  const apply = () => {
    const chosen = { topic: topic.value, type: type.value, subject: subject.value.trim() };
    if (!isOf(chosen.type, chosen.topic)) chosen.type = "";
    const given = Object.entries(chosen).filter(([, value]) => value);
    go(given.length ? `#/events?${new URLSearchParams(given)}` : "#/events");
  };
  form.addEventListener("change", apply);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    apply();
  });
  return form;
}

/** A choice among values with their names; one that was asked for in the address is among them, known or not. */
function choice(id, values, chosen) {
  const known = values.some(([value]) => value === chosen) ? values : [...values, [chosen, chosen]];
  return element("select", { id }, ...known.map(([value, name]) => element("option", { value, selected: value === chosen }, name)));
}

function isOf(type, topic) {
  return !topic || topic === ALL || TYPES[type]?.topic === topic;
}

function labelled(id, text, field) {
  return element("div", { class: "field" }, element("label", { for: id }, text), field);
}

function stateTag({ name, error }, paused) {
  if (name === "live") return paused ? tag("Paused", "odd") : tag("Live", "good");
  if (name === "unauthorized") return tag("Needs a token", "bad");
  if (name === "connecting") return tag("Connecting", "calm");
  return tag(error?.status ? "Refused, retrying" : "Connection lost, retrying", "bad");
}

function shownText() {
  const lost = feed.paused && feed.waiting > CAPACITY ? ` Of those waiting, the newest ${count(CAPACITY)} will be shown.` : "";
  const bound = feed.rows.length >= CAPACITY ? " Older events are in the journal." : "";
  return feed.rows.length ? `${counted(feed.rows.length, "event")}, the newest first.${bound}${lost}` : lost;
}

function emptyText({ topic, type, subject }) {
  const filtered = topic || type || subject;
  return [
    element("p", { class: "lead" }, filtered ? "Nothing matches yet" : "No events yet"),
    element("p", {}, filtered
      ? "New events that match appear here. The filters search the newest 2,000 events."
      : "Deliver a webhook, submit a task or send a chat through relay, and it appears here."),
  ];
}
