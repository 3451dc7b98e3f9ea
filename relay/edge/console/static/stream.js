// Follows GET /v1/events live. EventSource cannot send a token, so this reads the stream itself, and does what
// EventSource does: goes on after the last event that it has seen, however often the connection breaks.

import { access, Problem, send, withQuery } from "./api.js";

const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 30_000;
const SILENCE = 45_000; // ms; the relay says something every 15 s, so the connection is dead without a sign

/**
 * Follows the events that `wanted` (topic, type, subject) lets through, until `signal` is aborted.
 *
 * `begin` answers the offset before the first one, or null where there is nothing to follow. It is asked again where
 * that offset turns out to be one of another journal. `onEvent` has each of the events once, in order, in its place;
 * `onState({name, error})` hears `connecting`, `live`, `lost` (and why), `unauthorized`, and as the last `still`
 * (nothing to follow) or `refused` (and why: `begin` asked for what there is not).
 */
export async function follow(wanted, begin, { onEvent, onState, signal }) {
  let last;
  let failures = 0;
  while (!signal.aborted) {
    onState({ name: "connecting" });
    try {
      last ??= await begin();
      if (last === null) return onState({ name: "still" });
      const connection = new AbortController();
      const response = await open(wanted, last, AbortSignal.any([signal, connection.signal]));
      onState({ name: "live" });
      for await (const frame of frames(response.body, connection)) {
        failures = 0;
        if (frame.id === null) continue;
        last = frame.id;
        onEvent(JSON.parse(frame.data));
      }
      onState({ name: "lost", error: null });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem && error.status === 401) {
        onState({ name: "unauthorized" });
        await tokenOf(signal);
        continue;
      }
      if (error.code === "bad_request" && last === undefined) return onState({ name: "refused", error });
      if (error.code === "bad_request") last = undefined; // another journal than before
      onState({ name: "lost", error });
    }
    await pause(pauseAfter(failures++), signal);
  }
}

/** Milliseconds to wait after so many failures in a row: twice as long each time, a fifth more or less. */
export function pauseAfter(failures) {
  return Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** failures) * (0.8 + Math.random() * 0.4);
}

/** The frames of a stream of server-sent events (WHATWG HTML, 9.2.6), comments as frames without an id. */
async function* frames(body, connection) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const watchdog = setTimeout(() => connection.abort(), SILENCE);
    const { value, done } = await reader.read().finally(() => clearTimeout(watchdog));
    if (done) return; // what is not ended by an empty line is no frame
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) yield frameOf(part);
  }
}

function frameOf(text) {
  const frame = { id: null, data: "" };
  for (const line of text.split("\n")) {
    if (line.startsWith("id: ")) frame.id = line.slice("id: ".length);
    else if (line.startsWith("data: ")) frame.data += line.slice("data: ".length);
  }
  return frame;
}

function open(wanted, last, signal) {
  const headers = { Accept: "text/event-stream", "Last-Event-ID": String(last) };
  return send(withQuery("/v1/events", { ...wanted, choices: true }), { headers, signal });
}

function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    const now = () => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener("abort", now, { once: true });
    window.addEventListener("online", now, { once: true, signal });
  });
}

function tokenOf(signal) {
  return new Promise((resolve) => {
    access.addEventListener("token", resolve, { once: true, signal });
    signal.addEventListener("abort", resolve, { once: true });
  });
}
