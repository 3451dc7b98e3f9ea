// What a task or a chat was asked for: the messages of a chat as far as they are captured, or why they are not.

import { element } from "./dom.js";
import { count, counted, size } from "./format.js";
import { verbatim } from "./parts.js";

const MOST_CAPTURED = 256 * 1024; // bytes of messages and tools that an event carries

/** The content of the section, from the document of GET /v1/subjects; null of what is neither a task nor a chat. */
export function requestPart({ kind, task, events }) {
  if (kind === "chat") return chatRequest(events);
  return kind === "task" ? remark(taskText(task, events)) : null;
}

function taskText(task, events) {
  const isSubmitted = task?.known_via === "submit" || events.some(({ event }) => event.type === "relay.task.submitted");
  return isSubmitted ? "Not captured: relay passes the request of a task on, and keeps none of it."
    : "Not captured: the task was not submitted through this relay.";
}

function chatRequest(events) {
  const carrier = events.find(({ event }) => event.data?.request !== undefined)?.event;
  if (!carrier) return remark("Not known: the events that have it are no longer in the journal.");
  const { request } = carrier.data;
  if (request === null) return remark("Not captured: ", element("code", {}, "proxy.capture.request"), " was ", element("code", {}, "none"), ".");
  return element("div", {}, parametersOf(request), request.messages === null ? missing(request) : conversation(request));
}

function parametersOf({ parameters, messages_count: messages, tools_count: tools, bytes }) {
  const given = Object.entries(parameters).map(([name, value]) => `${name} ${JSON.stringify(value)}`);
  const counts = [messages === null ? null : counted(messages, "message"), tools ? counted(tools, "tool") : null, size(bytes)];
  return element("p", { class: "muted" }, [...counts, ...given].filter(Boolean).join(" · "));
}

function missing({ bytes }) {
  if (bytes > MOST_CAPTURED) return remark(`The messages are not captured: either they have more than ${count(MOST_CAPTURED)} bytes, or `, ...setting());
  return remark("The messages are not captured: ", ...setting());
}

function setting() {
  return [element("code", {}, "proxy.capture.request"), " was not ", element("code", {}, "full"), "."];
}

/** What was said, the system prompt first. An API takes each as a text, or as a list. */
function conversation({ system, messages, tools }) {
  const said = typeof messages === "string" ? [{ role: "user", content: messages }] : messages;
  return element(
    "div",
    { class: "messages" },
    system !== null && messageOf({ role: "system", content: system }),
    ...said.map(messageOf),
    tools?.length && element("details", { "data-moment": "tools" }, element("summary", {}, counted(tools.length, "tool")), verbatim(JSON.stringify(tools), "Tools")),
  );
}

function messageOf(message) {
  const said = textOf(message?.content ?? message);
  return element(
    "article",
    { class: "answer" },
    element("h3", {}, String(message?.role ?? message?.type ?? "Message")),
    said === null ? verbatim(JSON.stringify(message), "Message") : element("p", { class: "said" }, said),
  );
}

/** A text, or the texts of parts that are nothing else; null where there is more to show. */
function textOf(content) {
  if (typeof content === "string") return content;
  const isText = (part) => typeof part?.text === "string" && Object.keys(part).every((key) => key === "type" || key === "text");
  return Array.isArray(content) && content.length && content.every(isText) ? content.map(({ text }) => text).join("\n\n") : null;
}

function remark(...words) {
  return element("p", { class: "muted" }, ...words);
}
