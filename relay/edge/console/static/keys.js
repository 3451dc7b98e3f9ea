// Keyboard shortcuts. A key alone is one only where nothing is being typed, and never together with Ctrl, Alt or Meta.

import { showHelp } from "./dialogs.js";

const TABS = ["#/overview", "#/events", "#/tasks", "#/chats", "#/dead-letters", "#/health"];

export function listenToKeys(go) {
  document.getElementById("show-help").addEventListener("click", showHelp);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const act = actionOf(event.key, go);
    if (!act) return;
    event.preventDefault();
    act();
  });
}

function actionOf(key, go) {
  const tab = TABS[Number(key) - 1];
  if (tab) return () => go(tab);
  return {
    "/": () => document.getElementById("search-id").focus(),
    "?": showHelp,
    p: () => document.querySelector("#main .hold:not([hidden])")?.click(),
    j: () => step(1),
    k: () => step(-1),
  }[key];
}

/** Moves the focus between the rows of a list. */
function step(by) {
  const rows = [...document.querySelectorAll("#main [data-row]")];
  const here = rows.indexOf(document.activeElement?.closest?.("[data-row]"));
  const next = here < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, here + by));
  rows[next]?.focus();
  rows[next]?.scrollIntoView({ block: "nearest" });
}

function isTyping(target) {
  return target.matches("input, select, textarea, [contenteditable]");
}
