// The chats, newest first; each links to its text, which grows while it is open.

import { ask, withQuery } from "./api.js";
import { element } from "./dom.js";
import { clock, count, duration } from "./format.js";
import { fill, heading, nothing, repeatedly, states, subjectLink, table, tag } from "./parts.js";

const REFRESH = 2_000;
const PAGE = 100;
const COLUMNS = ["Chat", "Model", "Client", "State", "Started", "Duration", "Tokens"];
const STATES = ["all", "open", "completed", "failed", "cancelled"];
const TONES = { completed: "good", failed: "bad", cancelled: "odd" };

export function show({ query, signal }) {
  const state = query.get("state") ?? "all";
  const place = element("div", {});
  const load = () => pageOf(state, query.get("before") ?? "", signal);
  fill(place, load, signal);
  repeatedly(() => place.contains(document.activeElement) || fill(place, load, signal), REFRESH, signal);
  return [heading("Chats"), states("chats", STATES, state), place];
}

async function pageOf(state, before, signal) {
  const { chats, next } = await ask(withQuery("/v1/chats", { state, before, limit: PAGE }), { signal });
  const more = next && element("p", {}, element("a", { href: `#/chats?state=${state}&before=${next}` }, "The next page"));
  const body = chats.length ? table("Chats", COLUMNS, chats.map(rowOf))
    : nothing(state === "open" ? "No chat is open" : "No such chat", "A chat appears here when it begins, and stays as long as the journal holds its events.");
  return [body, more].filter(Boolean);
}

function rowOf(chat) {
  const link = subjectLink(chat.chat_id);
  link.dataset.row = "";
  const lasts = chat.duration_ms ?? (chat.state === "open" ? Date.now() - new Date(chat.started_at).getTime() : null);
  const parts = [tag(chat.state, TONES[chat.state] ?? "calm"), chat.reason && element("span", { class: "muted" }, chat.reason)];
  const tokens = chat.usage?.total_tokens;
  return [
    link, chat.model, chat.client ?? "unnamed", parts.filter(Boolean), clock(chat.started_at),
    lasts === null ? "–" : duration(lasts), Number.isInteger(tokens) ? count(tokens) : "–",
  ];
}
