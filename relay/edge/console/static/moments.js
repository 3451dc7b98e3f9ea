// The timeline of one task or one chat, moment by moment. Pure: the document of GET /v1/subjects in, values out.

import { counted, duration } from "./format.js";
import { typeOf, via } from "./words.js";

/**
 * The moments in their order: `{at, title, tone, text, about}`; `at` is RFC 3339, or null of what has not happened yet,
 * which comes last. `about` is the event with its offset where the moment is that of one; `letter` a dead letter's id;
 * `events` the address of a view of the events that the moment stands for.
 */
export function momentsOf(subject) {
  const moments = [
    ...upstreamMoments(subject.events),
    ...eventMoments(subject.events),
    ...publicationMoments(subject),
    ...subject.duplicates.map(duplicateMoment),
    ...subject.dead_letters.map(deadLetterMoment),
  ];
  return moments.map((moment, at) => ({ moment, at })).sort(inTime).map(({ moment }) => moment);
}

/** The milliseconds from each moment to the one before it; null where one of them has no time. */
export function gapsOf(moments) {
  return moments.map(({ at }, number) => {
    const before = number ? moments[number - 1].at : null;
    return at && before ? new Date(at) - new Date(before) : null;
  });
}

/** What the upstream says of its own times; relay gets them with the end of the task. */
function upstreamMoments(events) {
  const ending = events.map(({ event }) => event).findLast((event) => event.data?.timings?.finished_at !== undefined);
  if (!ending) return [];
  const { started_at: started, finished_at: finished } = ending.data.timings;
  return [
    started && moment(started, "Upstream began", "faint"),
    finished && moment(finished, "Upstream finished", "faint"),
  ].filter(Boolean);
}

function eventMoments(entries) {
  return runsOf(entries, ({ event }) => event.type === "relay.chat.chunk").map((run) =>
    run.length > 1 ? chunksMoment(run) : eventMoment(run[0]),
  );
}

function eventMoment({ offset, event }) {
  const { title, tone } = typeOf(event);
  const observed = event.data?.observed_via;
  const parts = [observed && event.data.status !== "submitted" && `reported ${via(observed)}`, event.data?.reason];
  const at = event.data?.received_at ?? endOf(event) ?? event.time;
  return moment(at, title, tone, parts.filter(Boolean).join(" · "), { offset, event });
}

/** A chat's end is shown as its start and its duration. */
function endOf({ data }) {
  const { started_at: start, duration_ms: lasted } = data?.timings ?? {};
  return start && Number.isFinite(lasted) ? new Date(new Date(start).getTime() + lasted).toISOString() : null;
}

function chunksMoment(run) {
  const chunks = run.reduce((sum, { event }) => sum + event.data.chunks.length, 0);
  const lasted = new Date(run.at(-1).event.time) - new Date(run[0].event.time);
  const text = `${counted(chunks, "chunk")} within ${duration(lasted)}`;
  const events = `#/events?${new URLSearchParams({ topic: "chat-chunks", subject: run[0].event.subject })}`;
  return { ...moment(run[0].event.time, counted(run.length, "chunk event"), "faint", text), events };
}

/** One moment for what one sink got at one time: a chat has many events, and a batch holds many of them. */
function publicationMoments({ events, publications }) {
  const titles = new Map(events.map(({ offset, event }) => [offset, typeOf(event).title]));
  const groups = Map.groupBy(publications, ({ sink, state, published_at: at }) => JSON.stringify([sink, state, at]));
  return [...groups.values()].map((group) => {
    const [{ sink, state, published_at: at }] = group;
    const named = [...new Set(group.map(({ offset }) => titles.get(offset) ?? `offset ${offset}`))];
    return moment(at, `${PUBLICATION[state].title} ${sink}`, PUBLICATION[state].tone, `${counted(group.length, "event")}: ${named.join(", ")}`);
  });
}

const PUBLICATION = {
  published: { title: "Published on", tone: "good" },
  pending: { title: "Waits for", tone: "calm" },
  dead: { title: "Refused by", tone: "bad" },
  absorbed: { title: "Already published by another replica, skipped on", tone: "faint" },
};

function duplicateMoment({ count, first_at: first, last_at: last, observed_via: ways }) {
  const parts = Object.entries(ways ?? {}).map(([way, times]) => `${times} ${via(way)}`);
  if (count > 1 && last && last !== first) parts.push(`the last ${duration(new Date(last) - new Date(first))} later`);
  return moment(first ?? last, `${counted(count, "duplicate")} absorbed`, "faint", parts.join(", "));
}

function deadLetterMoment({ id, reason, accepted_at: at }) {
  return { ...moment(at, "Dead letter", "bad", reason), letter: id };
}

function moment(at, title, tone, text = "", about = null) {
  return { at: at ?? null, title, tone, text, about };
}

/** Splits a list so that neighbours that are alike are together, and all others alone. */
function runsOf(list, alike) {
  const runs = [];
  for (const item of list) {
    const last = runs.at(-1);
    if (last && alike(item) && alike(last[0])) last.push(item);
    else runs.push([item]);
  }
  return runs;
}

function inTime(one, other) {
  const [left, right] = [one.moment.at, other.moment.at].map((at) => (at ? new Date(at).getTime() : Infinity));
  return left === right ? one.at - other.at : left - right;
}
