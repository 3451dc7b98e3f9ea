// The state of relay: whether it accepts deliveries, how far its sinks are, what its journal holds.

import { element } from "./dom.js";
import { clock, count, duration, size } from "./format.js";
import { facts, failure, heading, nothing, tag } from "./parts.js";
import { status } from "./status.js";

export function list({ signal }) {
  const place = element("div", { class: "health" });
  const render = () => {
    const open = place.contains(document.activeElement);
    if (status.known) open || place.replaceChildren(...contentOf(status.known));
    else if (status.error && status.error.status !== 401) place.replaceChildren(failure(status.error, () => status.refresh()));
  };
  status.addEventListener("change", render, { signal });
  render();
  return [heading("Health"), place];
}

function contentOf(status) {
  return [
    readiness(status),
    section("Sinks", sinks(status.sinks), "wide"),
    section("Journal", facts([
      ["Events held", count(status.journal.events)],
      ["Size", size(status.journal.bytes)],
      ["Free on its disk", status.journal.disk_free_bytes === null ? null : size(status.journal.disk_free_bytes)],
      ["Last offset", count(status.journal.last_offset)],
      ["Dead letters", link("#/dead-letters", count(status.journal.dead_letters))],
    ])),
    section("Tasks and chats", facts([
      ["Open tasks", link("#/tasks?state=pending", count(status.tasks.pending))],
      ["Polls overdue", link("#/tasks?state=overdue", count(status.tasks.overdue))],
      ["Chats open", link("#/chats", count(status.chats.open))],
      ["Upstream", upText(status.upstream.up)],
    ])),
    section("This relay", facts([
      ["Version", status.version],
      ["Identity", status.identity],
      ["Started", clock(status.started_at)],
      ["Up for", duration(new Date(status.now) - new Date(status.started_at))],
    ])),
  ];
}

function readiness({ ready, drain }) {
  if (ready.ok) return element("p", { class: "ready good" }, tag("Ready", "good"), " relay accepts deliveries durably.");
  return element(
    "div",
    { class: "ready bad" },
    element("p", {}, tag("Not ready", "bad"), whatSendersGet(drain)),
    element("ul", {}, ...ready.reasons.map((reason) => element("li", {}, reason))),
  );
}

function whatSendersGet({ state, accepting }) {
  if (state === "none" || !accepting) return " Senders get a 503 and try again.";
  return " relay takes deliveries until every sink has everything.";
}

function sinks(list) {
  if (!list.length) {
    return nothing("No sink is configured", "The journal itself is the stream: follow it with GET /v1/events or relay tail.");
  }
  return element("div", { class: "sinks" }, ...list.map(sinkOf));
}

function sinkOf(sink) {
  return element(
    "article",
    { class: "sink" },
    element("h3", {}, sink.label, element("span", { class: "muted" }, sink.type)),
    element("p", {}, sink.up === null ? tag("Opening", "calm") : sink.up ? tag("Up", "good") : tag("Down", "bad")),
    sink.trouble && trouble(sink.trouble),
    facts([
      ["Lag", lagText(sink)],
      ["Offset", sink.offset === null ? null : count(sink.offset)],
      ["Accepted", known(sink.accepted)],
      ["Published", known(sink.published)],
      ["Pending", known(sink.pending)],
      ["Dead", known(sink.dead)],
      ["Absorbed", known(sink.absorbed)],
    ]),
  );
}

function trouble({ code, message, hint, since }) {
  return element(
    "div",
    { class: "trouble" },
    element("p", { class: "lead" }, message),
    hint && element("p", {}, hint),
    element("p", { class: "muted" }, element("code", {}, code), since && " since ", since && clock(since)),
  );
}

function lagText({ pending, lag_seconds: seconds }) {
  if (seconds === null) return null;
  return pending ? `${duration(seconds * 1000)}, ${count(pending)} waiting` : "none";
}

function known(number) {
  return number === null ? null : count(number);
}

function upText(up) {
  if (up === null) return "not tried yet";
  return up ? tag("Up", "good") : tag("Down or refusing", "bad");
}

function link(address, text) {
  return element("a", { href: address }, text);
}

function section(title, content, kind = null) {
  return element("section", { class: kind }, element("h2", {}, title), content);
}
