// Tasks and chats by the beginning of their ids.

import { ask, withQuery } from "./api.js";
import { element } from "./dom.js";
import { count } from "./format.js";
import { button, fill, heading, nothing, subjectLink, tag, wholeId } from "./parts.js";
import { linkTo } from "./words.js";

const PAGE = 50;
const LOOKS = 10; // pages in a row that may be empty: relay looks through 50,000 events for each
const KINDS = { task: "Task", chat: "Chat", delivery: "Unreadable delivery" };

export function list({ query, signal }) {
  const prefix = query.get("prefix") ?? "";
  const place = element("div", { class: "found" });
  const found = new Map();
  fill(place, () => look(null), signal);
  return [heading("Search", wholeId(prefix)), place];

  /** Looks for more below an offset, where that is given; what the view shows then. */
  async function look(before) {
    const known = found.size;
    for (let looks = 0; looks < LOOKS && found.size === known && (before !== null || !looks); looks += 1) {
      const page = await ask(withQuery("/v1/subjects", { prefix, before, limit: PAGE }), { signal });
      for (const { subject, kind } of page.subjects) found.set(subject, kind);
      before = page.next;
    }
    if (!known) goToTheOnly(before);
    return [found.size ? listOf(found) : nothing("No id begins so", whereText(before)), before !== null && further(before)].filter(Boolean);
  }

  /** Leaves for the timeline of what has this very id, or of the one that begins so; Back leads to where one came from. */
  function goToTheOnly(before) {
    const only = found.has(prefix) ? prefix : found.size === 1 && before === null ? [...found.keys()][0] : null;
    if (only !== null && !signal.aborted) location.replace(linkTo(only));
  }

  function further(before) {
    const text = `Looked among all open chats and all tasks that were submitted, and for others down to offset ${count(before)}.`;
    return element("div", { class: "older" },
      element("p", { class: "muted" }, text),
      button("Look further back", { onclick: () => fill(place, () => look(before), signal) }));
  }
}

function listOf(found) {
  return element("ul", { class: "matches" }, ...[...found].map(([subject, kind]) => element("li", {}, subjectLink(subject), tag(KINDS[kind], "calm"))));
}

function whereText(before) {
  return before === null ? "The journal holds no task and no chat with such an id: relay never saw it, or it is older than journal.retention."
    : "Ids of tasks and chats are looked for, upper and lower case distinguished.";
}
