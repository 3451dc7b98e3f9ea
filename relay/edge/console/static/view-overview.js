// The overview: what needs attention, and what this relay did in the last hour.

import { ask } from "./api.js";
import { attentionOf } from "./attention.js";
import { chart } from "./chart.js";
import { element } from "./dom.js";
import { clock, count, counted, duration } from "./format.js";
import { failure, fill, heading, tag } from "./parts.js";
import { status } from "./status.js";

const REFRESH = 10_000;
const LEAST = 10; // seconds, so that one event right after the start does not look like a peak

export function list({ signal }) {
  const attention = element("div", {});
  const place = element("div", {});
  const look = () => {
    if (status.known) attention.contains(document.activeElement) || attention.replaceChildren(attentionTo(status.known));
    else if (status.error && status.error.status !== 401) attention.replaceChildren(failure(status.error, () => status.refresh()));
  };
  const load = () => lastHour(signal);
  status.addEventListener("change", look, { signal });
  look();
  fill(place, load, signal);
  const timer = setInterval(() => document.hidden || place.ariaBusy === "true" || fill(place, load, signal), REFRESH);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
  return [heading("Overview"), attention, place];
}

function attentionTo(known) {
  const found = attentionOf(known);
  if (!found.length) return element("p", { class: "ready good" }, tag("All is well", "good"), " relay accepts deliveries, and nothing needs attention.");
  return element("section", { class: "attention" }, element("h2", {}, "Needs attention"), element("ul", {}, found.map(findingOf)));
}

function findingOf({ code, failed, text, hint, link: [address, name] }) {
  return element(
    "li",
    { class: failed ? "ready bad" : "trouble", "data-code": code },
    element("p", { class: "lead" }, text),
    element("p", {}, hint, " ", element("a", { href: address }, name)),
  );
}

async function lastHour(signal) {
  const { identity, points, total } = await ask("/v1/trends", { signal });
  const began = new Date(new Date(total.until).getTime() - total.seconds * 1000).toISOString();
  const charts = chartsOf(total).map((each) => chart({ ...each, points }));
  return element(
    "section",
    {},
    element("h2", {}, "The last hour"),
    element("p", { class: "muted" }, "By replica ", element("code", {}, identity), ", since ", clock(began), ". It is kept in memory, so it starts over with a restart."),
    element("div", { class: "charts" }, ...charts),
  );
}

function chartsOf(total) {
  const ended = sum(total.tasks) + sum(total.chats);
  const failed = total.tasks.failed + total.chats.failed;
  return [
    { title: "Events", says: `${count(total.events)} accepted`, shown: perSecond, parts: [part("accepted", "calm", (point) => point.events / span(point))] },
    {
      title: "Webhooks", says: `${count(sum(total.deliveries))} deliveries, ${count(untaken(total))} dead or refused`, shown: perSecond,
      parts: [part("answered 2xx", "calm", (point) => taken(point) / span(point)), part("dead or refused", "bad", (point) => untaken(point) / span(point))],
    },
    ending("Tasks ended", "tasks", total),
    ending("Chats ended", "chats", total),
    {
      title: "Failure share", says: ended ? `${percent(failed / ended)} of the tasks and chats that ended` : "nothing has ended", shown: percent,
      parts: [part("failed", "bad", (point) => (point.tasks.failed + point.chats.failed) / (sum(point.tasks) + sum(point.chats) || 1))],
    },
    timed("Webhook answered", "ack_seconds", total),
    timed("First token", "first_token_seconds", total),
    {
      title: "Tokens", says: `${count(total.tokens.input)} in, ${count(total.tokens.output)} out`, shown: perSecond,
      parts: [part("input", "calm", (point) => point.tokens.input / span(point)), part("output", "good", (point) => point.tokens.output / span(point))],
    },
    { title: "Lag", says: `at most ${counted(total.pending, "event")} waiting for a sink`, shown: count, parts: [part("waiting", "odd", (point) => point.pending)] },
  ];
}

function ending(title, kind, total) {
  const says = `${count(sum(total[kind]))}, of which ${count(total[kind].failed)} failed`;
  const perMinute = (number) => `${rounded(number)}/min`;
  const rest = part("not failed", "good", (point) => ((sum(point[kind]) - point[kind].failed) * 60) / span(point));
  return { title, says, shown: perMinute, parts: [rest, part("failed", "bad", (point) => (point[kind].failed * 60) / span(point))] };
}

function timed(title, name, total) {
  const { p50, p99 } = total[name];
  const says = p50 === null ? "none yet" : `half within ${seconds(p50)}, 99 % within ${seconds(p99)}`;
  const upper = part("99 % (p99)", "odd", ({ [name]: found }) => (found.p50 === null ? null : found.p99 - found.p50));
  return { title, says, shown: seconds, parts: [part("half (p50)", "calm", (point) => point[name].p50), upper] };
}

function span({ seconds }) {
  return Math.max(seconds, LEAST);
}

function part(name, tone, of) {
  return { name, tone, of };
}

function taken(point) {
  return sum(point.deliveries) - untaken(point);
}

function untaken({ deliveries }) {
  return deliveries.dead + deliveries.rejected + deliveries.unavailable;
}

function sum(counts) {
  return Object.values(counts).reduce((all, number) => all + number, 0);
}

function percent(share) {
  return `${rounded(100 * share)} %`;
}

function perSecond(number) {
  return `${rounded(number)}/s`;
}

function seconds(number) {
  return number < 0.01 ? `${rounded(number * 1000)} ms` : duration(number * 1000);
}

/** With as many digits as one can use. */
function rounded(number) {
  return count(number >= 10 ? Math.round(number) : Number(number.toPrecision(2)));
}
