// The chat streams that are open now; each leads to its text as it grows.

import { ask, withQuery } from "./api.js";
import { element } from "./dom.js";
import { clock, counted, duration } from "./format.js";
import { fill, heading, nothing, repeatedly, subjectLink, table } from "./parts.js";

const REFRESH = 2_000;
const PAGE = 100;
const COLUMNS = ["Stream", "Model", "Client", "Opened", "Open for"];

export function show({ query, signal }) {
  const place = element("div", {});
  const load = () => pageOf(query.get("after") ?? "", signal);
  fill(place, load, signal);
  repeatedly(() => place.contains(document.activeElement) || fill(place, load, signal), REFRESH, signal);
  return [heading("Open streams"), place];
}

async function pageOf(after, signal) {
  const { streams, next } = await ask(withQuery("/v1/streams", { after, limit: PAGE }), { signal });
  if (!streams.length) {
    return nothing("No stream is open", "A chat through relay is here while it lasts, and in the live events after that.");
  }
  return [
    element("p", { class: "muted" }, `${counted(streams.length, "stream")}. Open one to read along.`),
    table("Open streams", COLUMNS, streams.map(rowOf)),
    next && element("p", {}, element("a", { href: `#/streams?after=${encodeURIComponent(next)}` }, "The next page")),
  ].filter(Boolean);
}

function rowOf(stream) {
  const link = subjectLink(stream.chat_id);
  link.dataset.row = "";
  const lasts = duration(Date.now() - new Date(stream.opened_at).getTime());
  return [link, stream.model, stream.client ?? "unnamed", clock(stream.opened_at), lasts];
}
