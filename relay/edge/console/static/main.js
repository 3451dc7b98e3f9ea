// The page: which view belongs to which address, and what all views share.

import { access, forgetToken, hasToken } from "./api.js";
import { showBanner, showCounts, showReadiness, showReplica, unknownAddress } from "./frame.js";
import { askForToken } from "./dialogs.js";
import { prepare } from "./format.js";
import { listenToKeys } from "./keys.js";
import { status } from "./status.js";
import { viewAt } from "./views.js";

const main = document.getElementById("main");
let leaving = new AbortController();

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

/** Shows the view of the address. */
function render() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const { name, title, view, id, query } = viewAt(location.hash);
  status.forget((path) => !path.startsWith("/v1/events")); // the list of events goes on behind other views
  document.title = `${title} · relay`;
  for (const link of document.querySelectorAll(".tabs a")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const shown = (id ? view.one : view.list) ?? unknownAddress;
  main.replaceChildren(...shown({ id, query, go, announce, signal }));
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
window.addEventListener("hashchange", navigate);
listenToKeys(go);
render();
status.start();
prepare();
