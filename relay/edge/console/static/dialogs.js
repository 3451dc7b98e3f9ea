// The questions that the page asks, as modal dialogs: the browser keeps the focus in them and restores it.

import { enterToken } from "./api.js";
import { element } from "./dom.js";
import { button } from "./parts.js";

const SHORTCUTS = [
  ["/", "search for a task or chat"],
  ["1 … 6", "overview, live events, tasks, chats, dead letters, health"],
  ["p", "pause or resume the live events"],
  ["j, k", "next or previous row"],
  ["Enter", "open the focused item"],
  ["Esc", "close a dialog or leave a field"],
  ["?", "show this list"],
];

let asked = null;

/** Asks for a token, once however many requests were refused. `refused`: the one that was entered is not accepted. */
export function askForToken({ refused }) {
  if (asked) return;
  const input = element("input", { type: "password", id: "token", autocomplete: "off", required: true, spellcheck: "false" });
  const form = element(
    "form",
    { method: "dialog" },
    element("h2", { id: "token-title" }, "This relay requires a token"),
    element(
      "p",
      {},
      "Use one of ",
      element("code", {}, "server.api_tokens"),
      " of its configuration. It stays in this tab until you close it, and is sent only to this relay.",
    ),
    element("label", { for: "token" }, "Token"),
    input,
    refused && element("p", { class: "refusal", role: "alert" }, "relay does not accept this token: it is mistyped, or no longer one of server.api_tokens."),
    element("div", { class: "choices" }, element("button", { type: "submit", class: "chief" }, "Use this token")),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const token = input.value.trim();
    input.value = "";
    asked.close();
    enterToken(token);
  });
  asked = shown(form, "token-title");
  asked.addEventListener("close", () => (asked = null));
}

/** Whether the user really wants it. */
export function confirmed(question, explanation, verb, otherwise = "Keep it") {
  return new Promise((resolve) => {
    const dialog = shown(
      element(
        "form",
        { method: "dialog" },
        element("h2", { id: "confirm-title" }, question),
        element("p", {}, explanation),
        element(
          "div",
          { class: "choices" },
          button(otherwise, { autofocus: true, onclick: () => dialog.close() }),
          button(verb, { kind: "danger", onclick: () => dialog.close("yes") }),
        ),
      ),
      "confirm-title",
    );
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"));
  });
}

export function showHelp() {
  if (document.querySelector("dialog[open]")) return;
  const rows = SHORTCUTS.map(([keys, what]) =>
    element("div", {}, element("dt", {}, ...keysOf(keys)), element("dd", {}, what)),
  );
  const dialog = shown(
    element(
      "form",
      { method: "dialog" },
      element("h2", { id: "help-title" }, "Keyboard shortcuts"),
      element("dl", { class: "shortcuts" }, ...rows),
      element("div", { class: "choices" }, button("Close", { autofocus: true, onclick: () => dialog.close() })),
    ),
    "help-title",
  );
}

function keysOf(text) {
  return text.split(/(, | … )/).map((part) => (/^(, | … )$/.test(part) ? part : element("kbd", {}, part)));
}

function shown(content, titled) {
  const dialog = element("dialog", { "aria-labelledby": titled }, content);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
