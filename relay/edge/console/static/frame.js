// What surrounds every view: readiness, counts, and the banner that says what is wrong and what to do.

import { Unreachable } from "./api.js";
import { element } from "./dom.js";
import { count } from "./format.js";
import { button, heading, nothing } from "./parts.js";
import { troubled } from "./status.js";

export function showReadiness({ known, error }) {
  const link = document.getElementById("readiness");
  const [text, tone] = readinessOf(known, error);
  link.className = `readiness ${tone}`;
  document.getElementById("readiness-text").textContent = text;
}

/** The counts in the navigation; a zero is not shown. */
export function showCounts(known) {
  if (!known) return;
  const counts = {
    overdue: [known.tasks.overdue, "overdue"],
    chats: [known.chats.open, "open"],
    "dead-letters": [known.journal.dead_letters, "held"],
    trouble: [troubled(known.sinks), "sinks with errors"],
  };
  for (const [name, [number, words]] of Object.entries(counts)) {
    const place = document.querySelector(`[data-count="${name}"]`);
    place.hidden = !number;
    place.replaceChildren(count(number), element("span", { class: "unseen" }, ` ${words}`));
  }
}

/** Says whose journal the view shows. */
export function showReplica({ known, replicas }) {
  if (!known) return;
  const place = document.getElementById("replica");
  const whose = replicas.length > 1 ? "Mixed from the journals of " : "Journal of ";
  place.replaceChildren(whose, element("strong", {}, replicas.join(", ")), ` · relay ${known.version}`);
}

/** What stands there instead of a view where an address leads to none. */
export function unknownAddress() {
  return [
    heading("Unknown address"),
    nothing("No view has this address", "It may have been cut, or be that of another version of relay."),
    element("p", { class: "muted" }, element("code", {}, location.hash), " · ", element("a", { href: "#/overview" }, "Go to the overview")),
  ];
}

/** Says what is wrong, once for as long as it stays so: the banner is read out when it changes. */
export function showBanner({ error: failure, replicas }, retry) {
  const error = failure ?? (replicas.length > 1 ? mixed(replicas) : null);
  const banner = document.getElementById("banner");
  const telling = error === null ? "" : [error.message, error.detail, adviceOn(error)].join("|");
  if (banner.dataset.telling === telling) return;
  banner.dataset.telling = telling;
  banner.hidden = error === null;
  banner.replaceChildren();
  if (error === null) return;
  const message = error instanceof Unreachable ? "Connection lost" : error.message;
  banner.append(
    element("p", {}, element("strong", {}, `${message}. `), error.detail ?? "", " ", adviceOn(error)),
    button("Try now", { onclick: retry }),
  );
}

/** Each answer may come from another journal: what is shown is none of them. */
function mixed(replicas) {
  const detail = `${replicas.join(", ")} answer here, each with a journal of its own, so the views mix them.`;
  return { message: "Several replicas", detail, hint: "Open one of them, such as with kubectl port-forward to its pod." };
}

function adviceOn(error) {
  if (error instanceof Unreachable) return "This is the last known state. Retrying every five seconds.";
  if (error.status === 401) return "Enter one of server.api_tokens.";
  return error.hint ?? "";
}

function readinessOf(known, error) {
  if (error instanceof Unreachable) return ["Not reachable", "bad"];
  if (error?.status === 401) return ["Needs a token", "odd"];
  if (error) return ["Not available", "bad"];
  if (!known) return ["…", "calm"];
  if (!known.ready.ok) return ["Not ready", "bad"];
  const trouble = troubled(known.sinks);
  return trouble ? ["Sink error", "odd"] : ["Ready", "good"];
}
