// All tasks that relay knows, however it came to know them.

import { element } from "./dom.js";
import { ago, clock, count, counted, duration } from "./format.js";
import { listView } from "./lists.js";
import { subjectLink, tag } from "./parts.js";

const TONES = { succeeded: "good", failed: "bad", abandoned: "odd" };
const LIST = {
  title: "Tasks",
  path: "/v1/tasks",
  key: "tasks",
  refresh: 5_000,
  states: ["all", "pending", "overdue", "running", "succeeded", "failed", "abandoned"],
  fields: [
    { name: "type", label: "Type", placeholder: "Any type" },
    { name: "since", label: "From", is: "time" },
    { name: "until", label: "To", is: "time" },
    { name: "sort", label: "Sort", choices: [["", "Newest first"], ["duration", "Longest first"]] },
  ],
  known: { type: ({ task_type: type }) => type },
  columns: ["Task", "Type", "State", "Known by", "Since", { name: "Duration", sort: "duration" }],
  rowOf,
  noteOf: ({ counts }) => element("p", { class: "muted" }, countsText(counts)),
  empty: emptyText,
};

export function list(shared) {
  return listView("tasks", LIST, shared);
}

function rowOf(task) {
  const link = subjectLink(task.task_id);
  link.dataset.row = "";
  const muted = (text) => text && element("span", { class: "muted" }, text);
  const state = [tag(task.state, TONES[task.state] ?? "calm"), muted(task.reason), muted(pollsText(task)), muted(task.trouble)];
  return [link, task.task_type, state.filter(Boolean), task.known_via, clock(task.submitted_at ?? task.ended_at), lasted(task)];
}

/** How a task that has not ended is followed. */
function pollsText({ polls, next_poll_at: next }) {
  if (!next) return null;
  const isLate = new Date(next) < Date.now();
  return `${counted(polls, "poll")}, ${isLate ? `due ${ago(next)}` : `next ${ago(next)}`}`;
}

function lasted({ submitted_at: start, ended_at: end, duration_ms: milliseconds }) {
  if (milliseconds !== null) return duration(milliseconds);
  return start && !end ? `${duration(Math.max(0, Date.now() - new Date(start)))} so far` : null;
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
