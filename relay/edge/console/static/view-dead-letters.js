// Dead letters: all of them by reason, and one of them with its raw delivery.

import { ask, withQuery } from "./api.js";
import { addressOf, groups, pathOf } from "./dead-letter-groups.js";
import { confirmed } from "./dialogs.js";
import { element } from "./dom.js";
import { clock, counted, size } from "./format.js";
import { button, facts, failure, fill, heading, nothing, subjectLink, verbatim } from "./parts.js";
import { status } from "./status.js";
import { linkTo } from "./words.js";

const PAGE = 500;

/** The list, a page at a time. */
export function list({ query, signal, announce }) {
  const place = element("div", {});
  const title = heading("Dead letters");
  const emptied = (said) => {
    announce(said);
    title.querySelector("h1").focus();
    fill(place, load, signal);
  };
  const load = () => pageOf(query.get("after") ?? "", { signal, emptied });
  fill(place, load, signal);
  return [title, place];
}

/** One of them. */
export function one({ id, go, signal, announce }) {
  const place = element("div", {});
  fill(place, () => ask(pathOf(id), { signal }).then((held) => letterOf(held, go, announce)).catch(unknownLetter), signal);
  return [heading("Dead letter", element("span", { class: "id whole" }, id)), place];
}

async function pageOf(after, context) {
  const { dead_letters: letters, next } = await ask(withQuery("/v1/dead-letters", { after, limit: PAGE }), context);
  if (!letters.length) return nothing("No dead letters", "Every delivery could be read, and no sink has refused an event.");
  return [
    ...groups(letters, context),
    next && element("p", {}, element("a", { href: `#/dead-letters?after=${encodeURIComponent(next)}` }, "The next page")),
  ].filter(Boolean);
}

function letterOf(letter, go, announce) {
  const trouble = element("div", {});
  const act = (work) => work().catch((error) => trouble.replaceChildren(failure(error)));
  return [
    element("p", { class: "verdict" }, letter.detail),
    facts([
      ["Reason", element("code", {}, letter.reason)],
      ["Origin", letter.origin],
      ["Accepted", clock(letter.accepted_at)],
      ["Size", size(letter.raw_bytes)],
      letter.event && ["Event", element("code", {}, `${letter.event.type} ${letter.event.id}`)],
      ["About", subjectLink(letter.subject)],
    ].filter(Boolean)),
    element(
      "div",
      { class: "actions" },
      button("Replay", { kind: "chief", onclick: () => act(() => replay(letter, go, announce)) }),
      button("Delete…", { kind: "danger", onclick: () => act(() => remove(letter, go, announce)) }),
    ),
    trouble,
    element("section", {}, element("h2", {}, letter.event ? "The event's data" : "The delivery as received"), verbatim(letter.raw, "Raw delivery"),
      element("p", { class: "muted" }, "Secrets are redacted. For the original bytes: ", element("code", {}, `GET ${pathOf(letter.id)}`), " with ", element("code", {}, "Accept: application/octet-stream"))),
  ];
}

async function replay(letter, go, announce) {
  const answer = await ask(`${pathOf(letter.id)}/replay`, { method: "POST" });
  announce(answer.status === "duplicate" ? "Its event already existed; the dead letter was removed." : "The dead letter was replayed.");
  status.refresh();
  go(linkTo(letter.subject));
}

async function remove(letter, go, announce) {
  const explanation = `${counted(letter.raw_bytes, "byte")} from ${letter.origin} will be deleted for good and cannot be replayed.`;
  if (!(await confirmed("Delete this dead letter?", explanation, "Delete it"))) return;
  await ask(pathOf(letter.id), { method: "DELETE" });
  announce("The dead letter was deleted.");
  status.refresh();
  go("#/dead-letters");
}

function unknownLetter(error) {
  if (error.status !== 404) throw error;
  return nothing("No dead letter has this id", "It was replayed or deleted, or is older than journal.retention.");
}
