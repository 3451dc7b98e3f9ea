// The open chats; each links to its text as it grows.

import { ask, withQuery } from "./api.js";
import { element } from "./dom.js";
import { clock, counted, duration } from "./format.js";
import { fill, heading, nothing, repeatedly, subjectLink, table } from "./parts.js";

const REFRESH = 2_000;
const PAGE = 100;
const COLUMNS = ["Chat", "Model", "Client", "Opened", "Open for"];

export function show({ query, signal }) {
  const place = element("div", {});
  const load = () => pageOf(query.get("after") ?? "", signal);
  fill(place, load, signal);
  repeatedly(() => place.contains(document.activeElement) || fill(place, load, signal), REFRESH, signal);
  return [heading("Open chats"), place];
}

async function pageOf(after, signal) {
  const { chats, next } = await ask(withQuery("/v1/chats", { after, limit: PAGE }), { signal });
  if (!chats.length) {
    return nothing("No chat is open", "An open chat appears here; once it has ended, see the live events.");
  }
  return [
    element("p", { class: "muted" }, `${counted(chats.length, "chat")}. Open one to follow it.`),
    table("Open chats", COLUMNS, chats.map(rowOf)),
    next && element("p", {}, element("a", { href: `#/chats?after=${encodeURIComponent(next)}` }, "The next page")),
  ].filter(Boolean);
}

function rowOf(chat) {
  const link = subjectLink(chat.chat_id);
  link.dataset.row = "";
  const lasts = duration(Date.now() - new Date(chat.opened_at).getTime());
  return [link, chat.model, chat.client ?? "unnamed", clock(chat.opened_at), lasts];
}
