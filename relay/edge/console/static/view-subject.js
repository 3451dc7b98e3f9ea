// The timeline of one task or chat: how it stands, what it made or said, and every moment of it.

import { ask, withQuery } from "./api.js";
import { Conversation } from "./conversation.js";
import { asCurl, copyButton } from "./copying.js";
import { element } from "./dom.js";
import { clock, duration } from "./format.js";
import { outputs } from "./media.js";
import { facts, fill, heading, nothing, repeatedly, verbatim, wholeId } from "./parts.js";
import { gapsOf, momentsOf } from "./moments.js";
import { requestPart } from "./request.js";
import { follow } from "./stream.js";
import { factsOf, isEnding } from "./subject-facts.js";
import { typeOf } from "./words.js";
import { transcript } from "./transcript.js";

const PAGE = 1000; // events; as many as relay returns at once
const MOST_PAGES = 5; // what is longer is cut, and says so; its end comes with the stream that follows
const REFRESH = 5_000;
const SETTLE = 400; // ms after an event before the publications are asked for: a burst is asked for once

export function one({ id, signal, announce }) {
  const place = element("div", { class: "subject" });
  begin();
  return [
    heading("Timeline", wholeId(id), copyButton("Copy id", id, announce), copyButton("Copy as curl", asCurl(pathOf(id)), announce)),
    place,
  ];

  async function begin() {
    let page = null;
    const load = async () => {
      page = new Page(place, await subjectOf(id, signal));
      return page.content();
    };
    if (!(await fill(place, () => load().catch(unknownSubject), signal)) || !page) return;
    const again = async () => page.renew(await subjectOf(id, signal).catch(() => page.subject));
    repeatedly(() => page.isOver || again(), REFRESH, signal);
    let settling = null;
    const onEvent = (entry) => {
      const { event } = entry;
      if (page.hear(entry)) announce(`${typeOf(event).title}.`);
      if (event.type === "relay.chat.chunk") return; // there are many, and the text shows them
      settling ??= setTimeout(() => {
        settling = null;
        if (!signal.aborted) again();
      }, SETTLE);
    };
    let from = page.subject.events.at(-1)?.offset ?? 0;
    const begin = async () => {
      const first = from;
      from = "latest"; // asked again, the offset is one of another journal
      return first;
    };
    await follow({ subject: id }, begin, { onEvent, onState: () => {}, signal });
  }
}

/** The parts of the page that change while it is open. */
class Page {
  constructor(place, subject) {
    this.place = place;
    this.subject = subject;
    this.conversation = conversationOf(subject);
  }

  content() {
    return contentOf(this.subject, this.conversation);
  }

  /** Whether nothing is expected any more of a chat; of a task a duplicate may come at any time. */
  get isOver() {
    return Boolean(this.conversation?.ended) && this.subject.publications.every(({ state }) => state !== "pending");
  }

  /** Shows the chat grown by an event; whether the event is an ending. */
  hear(entry) {
    if (this.conversation?.take(entry)) {
      kept(this.place, () => this.place.querySelector(".transcript")?.replaceWith(transcript(this.conversation)));
    }
    return isEnding(entry.event);
  }

  /** Shows the page again if something has changed; an output that is playing plays on. */
  renew(subject) {
    if (JSON.stringify(subject) === JSON.stringify(this.subject)) return;
    const made = this.place.querySelector(".outputs");
    const same = JSON.stringify(outputsOf(subject)) === JSON.stringify(outputsOf(this.subject));
    this.subject = subject;
    kept(this.place, () => {
      this.place.replaceChildren(...this.content());
      if (made && same) this.place.querySelector(".outputs")?.replaceWith(made);
    });
  }
}

/** Makes a change after which what was unfolded is so again, and what had the focus has it. */
function kept(place, change) {
  const unfolded = new Set([...place.querySelectorAll("details[open]")].map((details) => details.dataset.moment));
  const held = place.contains(document.activeElement) ? document.activeElement.closest("details")?.dataset.moment : null;
  const known = new Set([...place.querySelectorAll("details")].map((details) => details.dataset.moment));
  change();
  for (const details of place.querySelectorAll("details")) {
    const name = details.dataset.moment;
    if (known.has(name)) details.open = unfolded.has(name);
    if (held && name === held) details.querySelector("summary").focus({ preventScroll: true });
  }
}

function pathOf(id) {
  return `/v1/subjects/${encodeURIComponent(id)}`;
}

/** The document of GET /v1/subjects, from as many pages as it takes. */
async function subjectOf(id, signal) {
  const path = pathOf(id);
  const subject = await ask(withQuery(path, { limit: PAGE, choices: true }), { signal });
  for (let pages = 1; subject.next !== null && pages < MOST_PAGES; pages += 1) {
    const more = await ask(withQuery(path, { limit: PAGE, choices: true, after: subject.next }), { signal });
    for (const part of ["events", "publications", "duplicates"]) subject[part].push(...more[part]);
    subject.next = more.next;
  }
  return subject;
}

function unknownSubject(error) {
  if (error.status !== 404) throw error;
  return nothing("Unknown id", "The journal holds no event about it: relay never saw it, or it is older than journal.retention.");
}

function contentOf(subject, conversation) {
  const made = outputs(outputsOf(subject), subject.outputs);
  const request = requestPart(subject);
  const asked = request && section("Request", request, "request");
  return [
    facts(factsOf(subject)),
    conversation && asked,
    conversation && section("Conversation", transcript(conversation)),
    made && section("Outputs", made),
    section("What happened", momentList(subject)),
    !conversation && asked,
    subject.next !== null && element("p", { class: "muted" }, "The timeline is longer than shown here: GET /v1/events?subject= has all of it."),
  ].filter(Boolean);
}

function section(title, content, kind = null) {
  return element("section", { class: kind }, element("h2", {}, title), content);
}

/** The outputs that were published last: a contradiction brings others. */
function outputsOf({ events }) {
  return events.findLast(({ event }) => event.data?.outputs?.length)?.event.data.outputs ?? [];
}

function conversationOf({ kind, events }) {
  if (kind !== "chat") return null;
  const conversation = new Conversation();
  for (const entry of events) conversation.take(entry);
  return conversation;
}

function momentList(subject) {
  const moments = momentsOf(subject);
  const gaps = gapsOf(moments);
  return element("ol", { class: "timeline" }, ...moments.map((moment, at) => momentOf(moment, gaps[at])));
}

function momentOf({ at, title, tone, text, about, letter, events }, gap) {
  return element(
    "li",
    { class: `moment ${tone}` },
    element("span", { class: "when" }, at ? clock(at) : tone === "calm" ? "not yet" : "not recorded", gap >= 1 && element("span", { class: "gap" }, `+${duration(gap)}`)),
    element(
      "div",
      { class: "what" },
      letter ? element("a", { href: `#/dead-letters/${encodeURIComponent(letter)}`, class: "lead" }, title) : element("span", { class: "lead" }, title),
      text && element("span", { class: "muted" }, text),
      events && element("a", { href: events }, "Show them"),
      about && element(
        "details",
        { "data-moment": String(about.offset) },
        element("summary", {}, `Event at offset ${about.offset}`),
        verbatim(JSON.stringify(about.event), `Event at offset ${about.offset}`),
      ),
    ),
  );
}
