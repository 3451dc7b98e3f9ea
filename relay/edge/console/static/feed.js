// The live events as a list of bounded length: the newest that the journal holds, and then each as it arrives. It goes on
// while its user looks at another view, so that the list is there when they come back, and while it is paused, so that
// nothing is missed.

import { ask, withQuery } from "./api.js";
import { follow } from "./stream.js";
import { TOPICS } from "./words.js";

/** As many events as wait while paused, and as many as are shown unless older ones are loaded; the oldest are let go. */
export const CAPACITY = 500;

/** As many as are shown at all. */
export const MOST = 2_000;

/** The topic that stands for every one. Without a topic the pieces of chats are left out: they would drown the rest. */
export const ALL = "all";

const CHUNKS = "chat-chunks";
const PAGE = 100; // events that are loaded at once
const LOOKS = 10; // pages in a row that may be empty: relay looks through half a million events for each
const GATHER = 120; // ms; events come in bursts, and the page is changed once for each

/**
 * Fires `rows` (`detail`: `{newer}`, `{older}`, each the newest first, or null where all are new), `state`, and `begin`
 * where the list begins anew. */
class Feed extends EventTarget {
  /** The newest first, as GET /v1/events has them: `{offset, event, choices}`. */
  rows = [];
  wanted = { topic: "", type: "", subject: "", since: "", until: "" };
  paused = false;
  /** How many wait while paused; of them the newest `CAPACITY` are kept. */
  waiting = 0;
  state = { name: "connecting" };
  /** The offset down to which the journal was searched; null: to its beginning, or to that of the time range. */
  reached = null;
  /** Whether older ones are being loaded, and what went wrong with that. */
  loading = false;
  trouble = null;

  #held = [];
  #following = null;
  #gathering = null;
  #room = CAPACITY;

  /** Begins to follow what is wanted; asked for the same again, nothing happens. */
  start(wanted = this.wanted) {
    if (this.#following && JSON.stringify(wanted) === JSON.stringify(this.wanted)) return;
    this.wanted = wanted;
    this.paused = false;
    this.#begin();
  }

  /** Begins again, with an empty list, if it has begun at all. */
  restart() {
    if (this.#following) this.#begin();
  }

  pause() {
    this.paused = true;
    this.#changed();
  }

  /** Shows what has waited, and goes on. */
  resume() {
    this.paused = false;
    this.#show();
    this.#changed();
  }

  /** Loads a page of older events; looks further down while there is nothing that is wanted. */
  async loadOlder() {
    if (this.loading || this.reached === null || this.rows.length >= MOST) return;
    const { signal } = this.#following;
    this.#room = MOST;
    this.loading = true;
    this.trouble = null;
    this.#changed();
    try {
      for (let looks = 0; looks < LOOKS && this.reached !== null; looks += 1) {
        if (await this.#older(signal)) break;
      }
    } catch (error) {
      this.trouble = error;
    }
    if (signal.aborted) return;
    this.loading = false;
    this.#changed();
  }

  #begin() {
    this.#following?.abort();
    this.#following = new AbortController();
    this.#clear();
    this.#run(this.#following.signal);
  }

  #clear() {
    this.reached = null;
    this.loading = false;
    this.trouble = null;
    this.#room = CAPACITY;
    this.#forget();
    this.#empty();
    this.dispatchEvent(new Event("begin"));
  }

  #empty() {
    this.rows = [];
    this.dispatchEvent(new CustomEvent("rows", { detail: null }));
  }

  async #run(signal) {
    const onState = (state) => this.#enter(state);
    const onEvent = (row) => signal.aborted || this.take(row);
    const begin = async () => {
      const { next: last } = await ask("/v1/events?after=latest&limit=1", { signal });
      this.#clear();
      this.reached = last + 1;
      if (!(await this.#older(signal))) this.loadOlder(); // not waited for: what arrives is shown meanwhile
      return this.wanted.until ? null : last;
    };
    await follow(filterOf(this.wanted), begin, { onEvent, onState, signal });
  }

  /** Asks for the page below what was searched; how many it brought. */
  async #older(signal) {
    const { since, until } = this.wanted;
    const before = this.reached;
    const asked = { ...filterOf(this.wanted), since, until, before, limit: PAGE };
    const page = await ask(withQuery("/v1/events", asked), { signal });
    signal.throwIfAborted();
    if (this.reached !== before) return 0; // meanwhile the list was cut: this page would leave a gap
    this.reached = page.next;
    this.rows = [...this.rows, ...page.events];
    if (page.events.length) this.dispatchEvent(new CustomEvent("rows", { detail: { older: page.events } }));
    this.#changed();
    return page.events.length;
  }

  #enter(state) {
    this.state = state;
    this.#changed();
  }

  /** Another event, which is shown within the next moment, or waits. */
  take(row) {
    this.#held.push(row);
    if (this.#held.length > 2 * CAPACITY) this.#held.splice(0, this.#held.length - CAPACITY);
    this.waiting += 1;
    this.#gathering ??= setTimeout(() => {
      this.#gathering = null;
      if (!this.paused) this.#show();
      this.#changed();
    }, GATHER);
  }

  #show() {
    const newer = this.#held.slice(-CAPACITY).reverse();
    const lost = this.waiting > newer.length;
    this.#forget();
    if (!newer.length) return;
    if (lost) this.#empty(); // what is between would be missing; it can be loaded as older
    const all = [...newer, ...this.rows];
    this.rows = all.slice(0, this.#room);
    if (lost || all.length > this.#room) this.reached = this.rows.at(-1).offset;
    this.dispatchEvent(new CustomEvent("rows", { detail: { newer } }));
  }

  #forget() {
    this.#held = [];
    this.waiting = 0;
  }

  #changed() {
    this.dispatchEvent(new Event("state"));
  }
}

export const feed = new Feed();

/** What GET /v1/events is asked for. */
function filterOf({ topic, type, subject }) {
  const topics = topic || type ? topic : TOPICS.filter((each) => each !== CHUNKS);
  return { topic: topic === ALL ? "" : topics, type, subject, choices: true };
}
