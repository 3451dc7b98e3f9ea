// The state of relay, requested every few seconds: for the header, the navigation, the banner and the view of its
// health.

import { access, ask } from "./api.js";

const EVERY = 5_000;
const EVERY_UNSEEN = 30_000;
const REMEMBERED = 12; // answers: a minute of them

/** Fires `change` after each answer, and after each failure to get one. */
class Status extends EventTarget {
  /** The last answer of GET /v1/status; null before the first one. */
  known = null;
  /** The replicas that gave the newest answers: more than one behind a balancer that leads to any of them. */
  replicas = [];
  /** Why the newest question had no answer; null while all is well. */
  error = null;

  #answered = [];
  #timer = null;
  #asking = null;

  start() {
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
      const answer = await ask("/v1/status", { signal: asking.signal });
      if (asking.signal.aborted) return;
      this.known = answer;
      this.#answered = [...this.#answered, answer.identity].slice(-REMEMBERED);
      this.replicas = [...new Set(this.#answered)].sort();
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
