// Tasks by state, newest first.

import { ask, withQuery } from "./api.js";
import { element } from "./dom.js";
import { ago, clock, count } from "./format.js";
import { fill, heading, nothing, repeatedly, states, subjectLink, table, tag } from "./parts.js";

const REFRESH = 5_000;
const PAGE = 100;
const COLUMNS = ["Task", "Type", "State", "Known by", "Since", "Polls", "Next poll"];
const STATES = ["pending", "overdue", "running", "succeeded", "failed", "abandoned", "all"];
const TONES = { succeeded: "good", failed: "bad", abandoned: "odd" };

export function show({ query, signal }) {
  const state = query.get("state") ?? "pending";
  const place = element("div", {});
  const load = () => pageOf(state, query.get("before") ?? "", signal);
  fill(place, load, signal);
  repeatedly(() => place.contains(document.activeElement) || fill(place, load, signal), REFRESH, signal);
  return [heading("Tasks"), states("tasks", STATES, state), place];
}

async function pageOf(state, before, signal) {
  const page = await ask(withQuery("/v1/tasks", { state, before, limit: PAGE }), { signal });
  const next = page.next === null ? null
    : element("p", {}, element("a", { href: `#/tasks?state=${state}&before=${page.next}` }, "The next page"));
  const body = page.tasks.length ? table("Tasks", COLUMNS, page.tasks.map(rowOf)) : nothing(...emptyText(state));
  return [element("p", { class: "muted" }, countsText(page.counts)), body, next].filter(Boolean);
}

function rowOf(task) {
  const link = subjectLink(task.task_id);
  link.dataset.row = "";
  const parts = [tag(task.state, TONES[task.state] ?? "calm"), task.reason && element("span", { class: "muted" }, task.reason)];
  const trouble = task.trouble && element("span", { class: "muted" }, task.trouble);
  const due = task.next_poll_at && element("span", { title: task.next_poll_at }, dueText(task.next_poll_at));
  return [link, task.task_type, parts.filter(Boolean), task.known_via, clock(task.submitted_at ?? task.ended_at), count(task.polls), [due ?? "–", trouble].filter(Boolean)];
}

function dueText(at) {
  const late = Date.now() - new Date(at).getTime();
  return late > 0 ? `due ${ago(at)}` : ago(at);
}

function countsText(counts) {
  const parts = Object.entries(counts).filter(([, number]) => number).map(([state, number]) => `${count(number)} ${state}`);
  return parts.length ? `Submitted or watched: ${parts.join(", ")}.` : "No task was submitted through relay, or watched.";
}

function emptyText(state) {
  if (state === "overdue") return ["Nothing is overdue", "relay has made every poll that is due."];
  if (state === "pending") return ["No open tasks", "Every task that was submitted through relay has ended."];
  return ["No such task", "relay knows a task when it is submitted through it, watched with POST /v1/tasks, or reported by a webhook."];
}
