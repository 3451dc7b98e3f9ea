// What somebody should look at: the same that `relay status` finds. Pure: it reads one answer of GET /v1/status.

import { count, counted, duration, size } from "./format.js";

const LATE = 60; // seconds, as in relay status
const LITTLE_SPACE = 64 * 1024 * 1024; // bytes, as in relay status and relay doctor
const MANY_OVERDUE = 100; // tasks, as in relay status
const DRAINS = {
  draining: "relay drains: it accepts deliveries until its chats have ended and its sinks have everything",
  drained: "relay has drained: its sinks have everything, and it accepts nothing more",
};

/** `{code, failed, text, hint, link}` for each, the most urgent first; `failed`: nothing is accepted, or a sink is down. */
export function attentionOf(status) {
  const found = [...ofReadiness(status), ...status.sinks.flatMap(ofSink), ...ofTheRest(status)];
  return found.toSorted((one, other) => other.failed - one.failed);
}

function ofReadiness({ ready }) {
  return ready.reasons.map((reason) => {
    const [code, ...rest] = reason.split(": ");
    const link = ["#/health", "Health"];
    if (DRAINS[code]) return { code, failed: true, text: DRAINS[code], hint: "relay drain --cancel or a restart ends that.", link };
    const text = `relay accepts nothing: ${rest.join(": ") || code}`;
    return { code, failed: true, text, hint: "Senders get a 503 and try again.", link };
  });
}

function ofSink({ label, up, trouble, pending, lag_seconds: lag }) {
  const waiting = `waiting: ${counted(pending, "event")}`;
  const link = ["#/health", "Health"];
  if (trouble) return [{ code: trouble.code, failed: true, text: `Sink ${label}: ${trouble.message} ${capital(waiting)}`, hint: trouble.hint, link }];
  if (up === false) return [{ code: "sink_down", failed: true, text: `Sink ${label} is down; ${waiting}`, hint: "See relay's log.", link }];
  if (up === null) return [{ code: "sink_opening", failed: false, text: `Sink ${label} has not been opened yet`, hint: "Look again in a moment.", link }];
  if (!pending || lag <= LATE) return [];
  const text = `Sink ${label} is late; ${waiting}, the oldest for ${duration(lag * 1000)}`;
  return [{ code: "sink_late", failed: false, text, hint: "It is slower than what comes in, or catches up: see its lag over the last hour.", link }];
}

function ofTheRest({ journal, tasks, upstream }) {
  const found = [];
  const note = (code, text, hint, link) => found.push({ code, failed: false, text, hint, link });
  if (journal.dead_letters) {
    const text = `${counted(journal.dead_letters, "dead letter")} to replay or delete`;
    note("dead", text, "See the reasons; once the cause is fixed, replay.", ["#/dead-letters", "Dead letters"]);
  }
  if (tasks.overdue > MANY_OVERDUE) {
    const hint = "Raise reconcile.max_rate, or see whether the upstream refuses polls.";
    note("tasks_overdue", `${count(tasks.overdue)} tasks should have been polled by now`, hint, ["#/tasks?state=overdue", "Overdue tasks"]);
  }
  if (journal.disk_free_bytes !== null && journal.disk_free_bytes < LITTLE_SPACE) {
    const text = `The journal's disk has ${size(journal.disk_free_bytes)} left`;
    note("disk_filling", text, "Make room: a full disk refuses every webhook.", ["#/health", "Health"]);
  }
  if (upstream.up === false) {
    const hint = "relay doctor tries the address and the key.";
    note("upstream_down", "The upstream is unreachable, or refuses or fails polls", hint, ["#/health", "Health"]);
  }
  return found;
}

function capital(text) {
  return text[0].toUpperCase() + text.slice(1);
}
