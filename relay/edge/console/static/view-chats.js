// The chats, open and ended; each links to its text, which grows while it is open.

import { element } from "./dom.js";
import { clock, count, duration } from "./format.js";
import { listView } from "./lists.js";
import { subjectLink, tag } from "./parts.js";

const TONES = { completed: "good", failed: "bad", cancelled: "odd" };
const LIST = {
  title: "Chats",
  path: "/v1/chats",
  key: "chats",
  refresh: 2_000,
  states: ["all", "open", "completed", "failed", "cancelled"],
  fields: [
    { name: "api", label: "API", placeholder: "Any API" },
    { name: "model", label: "Model", placeholder: "Any model" },
    { name: "client", label: "Client", placeholder: "Any client" },
    { name: "since", label: "From", is: "time" },
    { name: "until", label: "To", is: "time" },
    {
      name: "sort",
      label: "Sort",
      choices: [["", "Newest first"], ["duration", "Longest first"], ["tokens", "Most tokens first"], ["first_token", "Slowest first token"]],
    },
  ],
  known: { api: ({ api }) => api, model: ({ model }) => model, client: ({ client }) => client },
  columns: [
    "Chat", "API", "Model", "Client", "Outcome", "Ended",
    { name: "Duration", sort: "duration" }, { name: "First token", sort: "first_token" }, { name: "Tokens", sort: "tokens" },
  ],
  rowOf,
  empty: (state) => [
    state === "open" ? "No chat is open" : "No such chat",
    "A chat appears here when it begins, and stays as long as the journal holds its events.",
  ],
};

export function list(shared) {
  return listView("chats", LIST, shared);
}

function rowOf(chat) {
  const link = subjectLink(chat.chat_id);
  link.dataset.row = "";
  return [
    link,
    chat.api?.split("_").flatMap((word, at) => (at ? ["_", element("wbr"), word] : [word])),
    chat.model,
    chat.client,
    [tag(chat.state, TONES[chat.state] ?? "calm"), chat.reason && element("span", { class: "muted" }, chat.reason)].filter(Boolean),
    chat.ended_at ? clock(chat.ended_at) : element("span", { class: "muted" }, "open since ", clock(chat.started_at)),
    lasted(chat),
    chat.first_token_ms === null ? null : duration(chat.first_token_ms),
    tokens(chat.tokens),
  ];
}

function lasted({ state, started_at: start, duration_ms: milliseconds }) {
  if (milliseconds !== null) return duration(milliseconds);
  return state === "open" ? `${duration(Math.max(0, Date.now() - new Date(start)))} so far` : null;
}

function tokens(counts) {
  if (counts === null) return null;
  const parts = [["input", "in"], ["output", "out"]].filter(([name]) => counts[name] !== null);
  return element("span", { title: parts.map(([name, way]) => `${count(counts[name])} ${way}`).join(", ") }, count(counts.total));
}
