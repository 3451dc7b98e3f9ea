// What stands above the timeline of a task or a chat: how it stands, when it began and ended, and for whom.

import { clock, count, duration } from "./format.js";
import { tag } from "./parts.js";
import { ENDINGS } from "./words.js";

/** The terms and values for `facts`, from the document of GET /v1/subjects. */
export function factsOf({ kind, task, events, duplicates }) {
  const absorbed = duplicates.reduce((sum, duplicate) => sum + duplicate.count, 0);
  return [...(kind === "chat" ? chatFacts(events) : taskFacts(task, events)), ["Duplicates absorbed", String(absorbed)]];
}

export function isEnding({ type }) {
  return ENDINGS.has(type.split(".").at(-1));
}

function taskFacts(task, events) {
  const ending = events.find(({ event }) => isEnding(event))?.event.data;
  const submission = events.find(({ event }) => event.type === "relay.task.submitted")?.event.data;
  const state = task?.state ?? ending?.status ?? "unknown";
  const submitted = submission?.received_at ?? task?.submitted_at ?? ending?.timings.submitted_at;
  const finished = ending ? ending.timings.finished_at ?? ending.received_at : task?.ended_at;
  return [
    ["State", tag(state, toneOf(state))],
    ["Type", ending?.task_type ?? task?.task_type],
    ["Submitted", submitted && clock(submitted)],
    ["Finished", finished && clock(finished)],
    ["Duration", durationBetween(submitted, finished)],
    optional("Reason", ending?.reason ?? task?.reason),
    ["Polls", task && String(task.polls)],
    optional("Next poll", task?.next_poll_at && clock(task.next_poll_at)),
    optional("Polling problem", task?.trouble),
  ].filter(Boolean);
}

function chatFacts(events) {
  const ending = events.find(({ event }) => event.data?.outcome)?.event.data;
  const started = events.find(({ event }) => event.type === "relay.chat.started")?.event.data;
  const outcome = ending?.outcome ?? "open";
  const begun = ending?.timings.started_at ?? started?.started_at;
  const lasted = ending?.timings.duration_ms;
  return [
    ["Outcome", tag(outcome, toneOf(outcome))],
    optional("API", ending?.api ?? started?.api),
    ["Model", ending?.model ?? started?.model],
    optional("Reason", ending?.reason),
    optional("Upstream's error", ending?.error?.message),
    ["Submitted", begun && clock(begun)],
    ["Finished", lasted == null ? null : clock(new Date(Date.parse(begun) + lasted).toISOString())],
    ["Duration", lasted == null ? null : duration(lasted)],
    ["First token", ending?.timings.first_token_ms == null ? null : duration(ending.timings.first_token_ms)],
    optional("Tokens", tokens(ending)),
    ["Client", ending?.client ?? started?.client ?? "unnamed"],
  ].filter(Boolean);
}

function tokens(ending) {
  const counts = [["input", "in"], ["output", "out"]].filter(([name]) => ending?.tokens?.[name] != null);
  return counts.map(([name, way]) => `${count(ending.tokens[name])} ${way}`).join(", ") || null;
}

function optional(term, value) {
  return value && [term, value];
}

/** Null where one is unknown, or where the clocks of relay and of the upstream disagree. */
function durationBetween(begin, end) {
  const passed = Date.parse(end) - Date.parse(begin);
  return passed >= 0 ? duration(passed) : null;
}

function toneOf(state) {
  return { succeeded: "good", completed: "good", failed: "bad", abandoned: "odd", cancelled: "odd" }[state] ?? "calm";
}
