// Buttons that copy a text. The clipboard is there only over https and on loopback; elsewhere a selection is copied.

import { hasToken } from "./api.js";
import { button } from "./parts.js";

export function copyButton(name, text, announce) {
  return button(name, { kind: "small", onclick: async () => announce((await copied(text)) ? "Copied." : "The browser refused to copy.") });
}

/** The command that asks relay for the same; a token is named, never shown. */
export function asCurl(path) {
  const token = hasToken() ? ` -H "Authorization: Bearer $RELAY_API_TOKEN"` : "";
  return `curl -s${token} '${location.origin}${path.replaceAll("'", "%27")}'`;
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copiedBySelection(text);
  }
}

function copiedBySelection(text) {
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  const focused = document.activeElement;
  field.select();
  try {
    return document.execCommand("copy");
  } finally {
    field.remove();
    focused?.focus();
  }
}
