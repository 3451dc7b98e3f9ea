// A chat as a transcript: what the model thought, said and called.

import { element } from "./dom.js";
import { counted, indented } from "./format.js";
import { tag } from "./parts.js";

/** The answers of a conversation; while it is open, with a mark that more is coming. */
export function transcript({ answers, chunks, ended }) {
  const said = answers.map((answer) => answerOf(answer, answers.length > 1, ended));
  return element(
    "div",
    { class: "transcript", "data-chunks": String(chunks), "data-ended": String(ended) },
    ...said,
    !said.length && element("p", { class: "muted" }, ended ? "The answer is empty, or its content was not captured." : "No content yet."),
    !ended && element("p", { class: "growing" }, tag(`Growing, ${counted(chunks, "chunk")} so far`, "calm")),
  );
}

function answerOf({ index, content, reasoning, calls, finish }, several, ended) {
  return element(
    "article",
    { class: "answer" },
    several && element("h3", {}, `Answer ${index + 1}`),
    reasoning && element("details", { class: "reasoning", "data-moment": `reasoning-${index}`, open: !content && !ended },
      element("summary", {}, "Reasoning"), element("p", { class: "said" }, reasoning)),
    content && element("p", { class: "said content" }, content),
    ...calls.map((call, at) => callOf(call, `${index + 1}.${at + 1}`)),
    finish && element("p", { class: "muted" }, "Finished: ", element("code", {}, finish)),
  );
}

function callOf({ name, arguments: given }, number) {
  return element(
    "div",
    { class: "call" },
    element("p", { class: "lead" }, "Calls ", element("code", {}, name || "?")),
    given && element("pre", { tabindex: "0", role: "region", "aria-label": `Arguments of call ${number}` }, indented(given)),
  );
}
