// The state of relay, requested every few seconds: for the header, the navigation, the banner and the view of its
// health.

import { access, ask } from "./api.js";

const PATH = "/v1/status";
const EVERY = 5_000;
const EVERY_UNSEEN = 30_000;
const REMEMBERED = 12; // answers: a minute of them

/** Fires `change` after each answer, and after each failure to get one. */
class Status extends EventTarget {
  /** The last answer of GET /v1/status; null before the first one. */
  known = null;
  /** Why the newest question had no answer; null while all is well. */
  error = null;

  #reporters = []; // who gave the newest answers
  #shown = new Map(); // who answered what is shown, by what was asked for: a later answer takes the place of an earlier
  #timer = null;
  #asking = null;

  /** The replicas whose journals are shown: more than one behind a balancer that leads to any of them. */
  get replicas() {
    return [...new Set([...this.#reporters, ...this.#shown.values()])].sort();
  }

  /** Of these paths nothing is shown any more. */
  forget(isGone) {
    this.#note(() => [...this.#shown.keys()].filter(isGone).forEach((path) => this.#shown.delete(path)));
  }

  #answered({ path, identity }) {
    if (identity === null || path === PATH) return; // its own is in the document
    this.#note(() => this.#shown.set(path, identity));
  }

  #note(change) {
    const before = this.replicas.length;
    change();
    if (this.known && this.replicas.length !== before) this.dispatchEvent(new Event("change"));
  }

  start() {
    access.addEventListener("answer", ({ detail }) => this.#answered(detail));
    access.addEventListener("token", () => this.refresh());
    window.addEventListener("online", () => this.refresh());
    window.addEventListener("offline", () => this.refresh());
    document.addEventListener("visibilitychange", () => document.hidden || this.refresh());
    this.refresh();
  }

  /** Asks now. */
  async refresh() {
    this.#asking?.abort();
    const asking = (this.#asking = new AbortController());
    clearTimeout(this.#timer);
    try {
      const answer = await ask(PATH, { signal: asking.signal });
      if (asking.signal.aborted) return;
      this.known = answer;
      this.#reporters = [...this.#reporters, answer.identity].slice(-REMEMBERED);
      this.error = null;
    } catch (error) {
      if (asking.signal.aborted) return;
      this.error = error;
    }
    this.dispatchEvent(new Event("change"));
    this.#timer = setTimeout(() => this.refresh(), document.hidden ? EVERY_UNSEEN : EVERY);
  }
}

export const status = new Status();

/** How many sinks are in trouble, or down. */
export function troubled(sinks) {
  return sinks.filter((sink) => sink.trouble !== null || sink.up === false).length;
}
