// The names of the types of events on the page, and what an event says in one line.

import { textOf } from "./conversation.js";
import { counted } from "./format.js";

/** By topic, in the order of the contract; `tone` is how it is coloured, beside its title. */
export const TYPES = {
  "relay.task.submitted": { topic: "tasks", title: "Task submitted", tone: "calm" },
  "relay.task.progressed": { topic: "tasks", title: "Task progressed", tone: "calm" },
  "relay.task.succeeded": { topic: "tasks", title: "Task succeeded", tone: "good" },
  "relay.task.failed": { topic: "tasks", title: "Task failed", tone: "bad" },
  "relay.task.abandoned": { topic: "tasks", title: "Task abandoned", tone: "odd" },
  "relay.task.conflicted": { topic: "tasks", title: "Task contradicted", tone: "odd" },
  "relay.chat.started": { topic: "chat", title: "Chat started", tone: "calm" },
  "relay.chat.completed": { topic: "chat", title: "Chat completed", tone: "good" },
  "relay.chat.failed": { topic: "chat", title: "Chat failed", tone: "bad" },
  "relay.chat.cancelled": { topic: "chat", title: "Chat cancelled", tone: "odd" },
  "relay.chat.chunk": { topic: "chat-chunks", title: "Chat chunk", tone: "faint" },
  "relay.output.archived": { topic: "outputs", title: "Output archived", tone: "good" },
  "relay.output.lost": { topic: "outputs", title: "Output lost", tone: "bad" },
  "relay.delivery.dead": { topic: "dead-letters", title: "Dead letter", tone: "bad" },
};
export const TOPICS = [...new Set(Object.values(TYPES).map((type) => type.topic))];
export const ENDINGS = new Set(["succeeded", "failed", "abandoned", "completed", "cancelled"]);

const LONGEST = 200;

export function typeOf(event) {
  return TYPES[event.type] ?? { topic: "", title: event.type, tone: "calm" };
}

/** The fragment of the view about what an event is about. */
export function linkTo(subject) {
  return `#/subjects/${encodeURIComponent(subject)}`;
}

/** What an event says, in a line; `choices` are what its chunks say. */
export function summaryOf({ event, choices }) {
  const data = event.data ?? {};
  const said = event.type === "relay.chat.chunk" ? [counted(data.chunks.length, "chunk"), textOf(choices ?? []), ...callsOf(choices ?? [])]
    : event.type.startsWith("relay.chat.") ? chatSummary(data)
    : event.type === "relay.delivery.dead" ? [data.origin, data.reason, data.detail]
    : event.type.startsWith("relay.output.") ? outputSummary(data)
    : taskSummary(data);
  return said.filter(Boolean).join(" · ").replaceAll(/\s+/g, " ").slice(0, LONGEST);
}

/** How a fact was observed, to follow a word such as "reported". */
export function via(observed) {
  const ways = { webhook: "via webhook", poll: "via polling", submit: "from a proxied answer" };
  return ways[observed] ?? `via ${observed}`;
}

function taskSummary(data) {
  const outputs = data.outputs?.length ? counted(data.outputs.length, "output") : null;
  return [data.task_type, outputs, data.reason, data.status === "submitted" ? null : via(data.observed_via)];
}

function outputSummary(data) {
  return [`${data.kind} ${data.index + 1}`, data.reason, data.url, data.retried ? "tried again" : null];
}

function chatSummary(data) {
  const answers = data.choices ?? [];
  return [data.model, data.reason, data.error?.message, answers.map((choice) => choice.content ?? "").join(" "), ...callsOf(answers)];
}

function callsOf(answers) {
  return answers.flatMap((choice) => choice.tool_calls ?? []).map((call) => call.function?.name && `${call.function.name}()`);
}

