// The live events as a list of bounded length. It goes on while its user looks at another view, so that the list is
// there when they come back, and while it is paused, so that nothing is missed.

import { ask } from "./api.js";
import { follow } from "./stream.js";

/** As many events as are shown, and as many as wait while paused; older ones are let go. */
export const CAPACITY = 500;

/** The topic that stands for every one. Without a topic the pieces of chats are left out: they would drown the rest. */
export const ALL = "all";

const LOOK_BACK = 2_000; // offsets; what a filter finds in them is there at once
const GATHER = 120; // ms; events come in bursts, and the page is changed once for each

/** Fires `rows` (`detail`: the new ones, the oldest first, or null where all are new) and `state`. */
class Feed extends EventTarget {
  /** The newest first: `{offset, event}`. */
  rows = [];
  wanted = { topic: "", type: "", subject: "" };
  paused = false;
  /** How many wait while paused; of them the newest `CAPACITY` are kept. */
  waiting = 0;
  state = { name: "connecting" };

  #held = [];
  #following = null;
  #gathering = null;

  /** Begins to follow what is wanted; asked for the same again, nothing happens. */
  start(wanted = this.wanted) {
    if (this.#following && sameFilter(wanted, this.wanted)) return;
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

  #begin() {
    this.#following?.abort();
    this.#following = new AbortController();
    this.rows = [];
    this.#forget();
    this.dispatchEvent(new CustomEvent("rows", { detail: null }));
    this.#run(this.#following.signal);
  }

  async #run(signal) {
    const onState = (state) => this.#enter(state);
    const { topic, type, subject } = this.wanted;
    const leftOut = topic || type ? null : "relay.chat.chunk";
    const onEvent = (offset, event) => {
      if (!signal.aborted && event.type !== leftOut) this.take({ offset, event });
    };
    const after = await beginning(signal);
    await follow({ topic: topic === ALL ? "" : topic, type, subject }, after, { onEvent, onState, signal });
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
    const fresh = this.#held.slice(-CAPACITY);
    this.#forget();
    this.rows = [...fresh.toReversed(), ...this.rows].slice(0, CAPACITY);
    if (fresh.length) this.dispatchEvent(new CustomEvent("rows", { detail: fresh }));
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

/** The offset a little before the end, or "latest" where it cannot be asked for: following will tell why. */
async function beginning(signal) {
  try {
    const page = await ask("/v1/events?after=latest&limit=1", { signal });
    return Math.max(0, page.next - LOOK_BACK);
  } catch {
    return "latest";
  }
}

function sameFilter(one, other) {
  return one.topic === other.topic && one.type === other.type && one.subject === other.subject;
}
