// The page: which view belongs to which address, and what all views share.

import { access, forgetToken, hasToken } from "./api.js";
import { showBanner, showCounts, showReadiness, showReplica, unknownAddress } from "./frame.js";
import { askForToken } from "./dialogs.js";
import { feed } from "./feed.js";
import { listenToKeys } from "./keys.js";
import { status } from "./status.js";
import * as chats from "./view-chats.js";
import * as deadLetters from "./view-dead-letters.js";
import * as events from "./view-events.js";
import * as health from "./view-health.js";
import * as overview from "./view-overview.js";
import * as search from "./view-search.js";
import * as subject from "./view-subject.js";
import * as tasks from "./view-tasks.js";

const VIEWS = {
  overview: { title: "Overview", list: overview.show },
  events: { title: "Live events", list: events.show },
  search: { title: "Search", list: search.show },
  subjects: { title: "Timeline", one: subject.show },
  tasks: { title: "Tasks", list: tasks.show },
  chats: { title: "Chats", list: chats.show },
  "dead-letters": { title: "Dead letters", list: deadLetters.list, one: deadLetters.letter },
  health: { title: "Health", list: health.show },
};

const EVENTS = "/v1/events";
const main = document.getElementById("main");
let leaving = new AbortController();
let lastHeard = feed.state.name;

function go(address) {
  if (location.hash === address) render();
  else location.hash = address;
}

/** Says something once, to all: it is shown for a while, and read out. */
function announce(text) {
  const notice = document.getElementById("notice");
  notice.textContent = text;
  clearTimeout(announce.timer);
  announce.timer = setTimeout(() => (notice.textContent = ""), 6_000);
}

/** `#/dead-letters/ID?after=X` as its parts; without an address it is the overview. */
function parsed(hash) {
  const [path, query = ""] = (hash.match(/^#\/(.+)/)?.[1] ?? "overview").split("?");
  const [name, ...rest] = path.split("/");
  const id = decoded(rest.join("/"));
  const view = VIEWS[name];
  const shown = view && (id ? view.one : view.list);
  if (!shown) return { name: "", title: "Unknown address", shown: unknownAddress, id: "", query: new URLSearchParams() };
  return { name, title: id ? `${view.title} ${id}` : view.title, shown, id, query: new URLSearchParams(query) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function render() {
  leaving.abort();
  leaving = new AbortController();
  status.forget((path) => !path.startsWith(EVENTS)); // the list of events goes on behind other views
  const { name, title, shown, id, query } = parsed(location.hash);
  document.title = `${title} · relay`;
  for (const link of document.querySelectorAll(".tabs a")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  main.replaceChildren(...shown({ id, query, go, announce, signal: leaving.signal }));
}

/** Another view was asked for: its heading has the focus, so that the keyboard and a screen reader begin there. */
function navigate() {
  if (location.hash && !location.hash.startsWith("#/")) return;
  const kept = document.activeElement?.id;
  render();
  window.scrollTo(0, 0);
  (kept && main.querySelector(`#${CSS.escape(kept)}`) || main.querySelector("h1"))?.focus({ preventScroll: true });
}

function searchFor(event) {
  event.preventDefault();
  const field = document.getElementById("search-id");
  const wanted = field.value.trim();
  if (!wanted) return;
  field.value = "";
  field.blur();
  go(`#/search?${new URLSearchParams({ prefix: wanted })}`);
}

function tokenChanged() {
  document.getElementById("forget-token").hidden = !hasToken();
  feed.restart();
  render();
}

access.addEventListener("unauthorized", ({ detail }) => askForToken(detail));
access.addEventListener("token", tokenChanged);
status.addEventListener("change", () => {
  showReadiness(status);
  showCounts(status.known);
  showBanner(status, () => status.refresh());
  showReplica(status);
});
document.getElementById("search").addEventListener("submit", searchFor);
document.getElementById("forget-token").addEventListener("click", forgetToken);
document.getElementById("forget-token").hidden = !hasToken();
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
feed.addEventListener("state", () => {
  if (feed.state.name === lastHeard) return;
  lastHeard = feed.state.name;
  if (lastHeard === "lost" || lastHeard === "live") status.refresh(); // the stream hears first that relay went or came
});
feed.addEventListener("begin", () => status.forget((path) => path.startsWith(EVENTS)));
window.addEventListener("hashchange", navigate);
listenToKeys(go, events.toggle);
status.start();
render();
