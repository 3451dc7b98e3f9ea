// Dead letters by reason: many are selected, and replayed or deleted one after another.

import { Problem, ask } from "./api.js";
import { confirmed } from "./dialogs.js";
import { element } from "./dom.js";
import { clock, count, counted, size } from "./format.js";
import { button, failure, growingTable } from "./parts.js";
import { status } from "./status.js";

const COLUMNS = ["Select", "Accepted", "Detail", "Origin", "Size", "Id"];
const FOR_ALL = new Set([401, 403, 429, 503]); // what refuses one refuses the next, too
const REPLAY = { done: "replayed", request: (id) => ask(`${pathOf(id)}/replay`, { method: "POST" }) };
const DELETE = { done: "deleted", request: (id) => ask(pathOf(id), { method: "DELETE" }) };

export function pathOf(id) {
  return `/v1/dead-letters/${encodeURIComponent(id)}`;
}

export function addressOf(id) {
  return `#/dead-letters/${encodeURIComponent(id)}`;
}

/** The groups, the largest first, and what can be done with those that are selected; `emptied` is called when none is left. */
export function groups(letters, { signal, emptied }) {
  const reasons = byReason(letters);
  let growing = reasons.length; // what is to come would be left out
  const grown = () => {
    growing -= 1;
    follow(false);
  };
  const tables = element("div", {}, reasons.map(([reason, held]) => groupOf(reason, held, grown)));
  const selected = () => [...tables.querySelectorAll("input[data-letter]:checked")];
  const outcome = element("div", { role: "status", tabindex: "-1" });
  const progress = element("progress", { hidden: true, "aria-label": "Dead letters that are done" });
  const chosen = element("span", {});
  const replay = button("Replay selected", { kind: "chief", onclick: () => run(REPLAY) });
  const remove = button("Delete selected…", { kind: "danger", onclick: async () => (await sure(selected().length)) && run(DELETE) });
  const stop = button("Stop", { hidden: true, onclick: () => (stop.hidden = true) });

  const follow = (busy) => {
    chosen.textContent = `${count(selected().length)} selected`;
    replay.disabled = remove.disabled = busy || growing > 0 || !selected().length;
    for (const box of tables.querySelectorAll("input")) box.disabled = busy;
    progress.hidden = !busy;
    stop.hidden = !busy;
  };
  async function run(deed) {
    const boxes = selected();
    outcome.replaceChildren();
    Object.assign(progress, { max: boxes.length, value: 0 });
    follow(true);
    const goesOn = () => !stop.hidden && !signal.aborted;
    const result = await carriedOut(deed, boxes, goesOn, (done) => (progress.value = done));
    status.refresh();
    for (const section of tables.querySelectorAll("section")) section.querySelector("[data-letter]") ? recount(section) : section.remove();
    follow(false);
    if (signal.aborted) return;
    const said = summaryOf(deed, boxes.length, result);
    if (!tables.firstChild) return emptied(said);
    outcome.replaceChildren(element("p", {}, said), ...(result.error ? [failure(result.error)] : []));
    outcome.focus();
  }

  tables.addEventListener("change", ({ target }) => {
    const boxes = [...target.closest("section").querySelectorAll("input[data-letter]")];
    if (!target.dataset.letter) for (const box of boxes) box.checked = target.checked;
    else target.closest("section").querySelector("input").checked = boxes.every((box) => box.checked);
    follow(false);
  });
  follow(false);
  return [element("div", { class: "actions many", role: "group", "aria-label": "With the selected dead letters" }, replay, remove, stop, progress, chosen), outcome, tables];
}

/** Asks for each in turn, for as long as `goesOn()`. What was done leaves its table; why it was not done stands beside it. */
async function carriedOut(deed, boxes, goesOn, step) {
  const result = { done: 0, refused: 0, error: null };
  for (const box of boxes) {
    if (!goesOn()) break;
    const row = box.closest("tr");
    try {
      await deed.request(box.dataset.letter);
      row.remove();
      result.done += 1;
    } catch (error) {
      if (!(error instanceof Problem) || FOR_ALL.has(error.status)) return { ...result, error };
      row.querySelector("[data-refusal]").textContent = `Not ${deed.done}: ${error.detail || error.message}`;
      result.refused += 1;
    }
    step(result.done + result.refused);
  }
  return result;
}

function summaryOf(deed, all, { done, refused }) {
  const left = all - done - refused;
  return [
    `${counted(done, "dead letter")} ${deed.done}.`,
    refused && `${count(refused)} refused: the reason is beside each.`,
    left && `${count(left)} not tried.`,
  ].filter(Boolean).join(" ");
}

function sure(number) {
  const what = counted(number, "dead letter");
  return confirmed(`Delete ${what}?`, `${what} will be deleted for good and cannot be replayed.`, "Delete them", "Keep them");
}

function byReason(letters) {
  const found = new Map();
  for (const letter of letters) found.set(letter.reason, [...(found.get(letter.reason) ?? []), letter]);
  return [...found].toSorted(([, one], [, other]) => other.length - one.length);
}

function groupOf(reason, letters, grown) {
  const all = element("input", { type: "checkbox" });
  const label = element("label", {}, all, " Select all ", element("span", { "data-number": true }, count(letters.length)));
  const ordered = letters.toSorted((one, other) => other.accepted_at.localeCompare(one.accepted_at));
  const rows = growingTable(`Dead letters: ${reason}`, COLUMNS, ordered, (letter) => rowOf(letter, all.checked), grown);
  return element("section", { class: "group" }, element("h2", {}, element("code", {}, reason)), label, rows);
}

function recount(section) {
  section.querySelector("[data-number]").textContent = count(section.querySelectorAll("[data-letter]").length);
}

function rowOf({ id, accepted_at: at, detail, origin, raw_bytes: bytes }, selected) {
  const box = element("input", { type: "checkbox", "data-letter": id, "aria-label": `Select ${id}` });
  box.checked = selected;
  const refusal = element("strong", { class: "refusal", "data-refusal": true });
  const link = element("a", { class: "id", href: addressOf(id), "data-row": true }, id);
  return [box, clock(at), [detail, refusal], origin, size(bytes), link];
}
