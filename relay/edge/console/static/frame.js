// What surrounds every view: readiness, counts, and the banner that says what is wrong and what to do.

import { Unreachable } from "./api.js";
import { element } from "./dom.js";
import { count } from "./format.js";
import { button } from "./parts.js";
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

/** Says what is wrong, once for as long as it stays so: the banner is read out when it changes. */
export function showBanner(error, retry) {
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
