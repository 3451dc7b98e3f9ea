// A chat as text while it grows: the deltas of its chunks, joined as relay does for the terminal event.

/** The answers of one chat, from its chunk events and, at the end, by its terminal event. Pure. */
export class Conversation {
  /** `{index, content, reasoning, calls: [{name, arguments}], finish}` in the order of their index. */
  answers = [];
  chunks = 0;
  ended = false;

  /** Takes in an event of the chat; whether it changed anything. */
  take(event) {
    if (event.type === "relay.chat.chunk") {
      if (this.ended) return false;
      for (const chunk of event.data.chunks) this.#add(chunk);
      this.chunks += event.data.chunks.length;
      return true;
    }
    if (!event.data?.outcome) return false;
    this.ended = true;
    if (event.data.choices.length) this.answers = event.data.choices.map(answerOf);
    return true;
  }

  #add(chunk) {
    for (const choice of chunk.choices ?? []) {
      const answer = this.#answer(choice.index ?? 0);
      const delta = choice.delta ?? {};
      answer.content += contentOf(delta.content);
      answer.reasoning += reasoningOf(delta);
      for (const call of delta.tool_calls ?? []) addCall(answer.calls, call);
      answer.finish = choice.finish_reason || answer.finish;
    }
  }

  #answer(index) {
    let answer = this.answers.find((known) => known.index === index);
    if (!answer) {
      answer = { index, content: "", reasoning: "", calls: [], finish: null };
      this.answers.push(answer);
      this.answers.sort((one, other) => one.index - other.index);
    }
    return answer;
  }
}

/** What chunks say, joined: content, or else the reasoning. */
export function textOf(chunks) {
  const deltas = chunks.flatMap((chunk) => chunk.choices ?? []).map((choice) => choice.delta ?? {});
  return deltas.map((delta) => contentOf(delta.content)).join("") || deltas.map(reasoningOf).join("");
}

function answerOf(choice) {
  return {
    index: choice.index,
    content: choice.content ?? "",
    reasoning: choice.reasoning_content ?? "",
    calls: choice.tool_calls.map((call) => ({ name: call.function?.name ?? "", arguments: call.function?.arguments ?? "" })),
    finish: choice.finish_reason,
  };
}

/** A text, or the texts of content parts. */
function contentOf(content) {
  if (Array.isArray(content)) return content.map((part) => part?.text ?? "").join("");
  return typeof content === "string" ? content : "";
}

/** The reasoning under whichever name it comes, once. */
function reasoningOf(delta) {
  const details = delta.reasoning_details;
  const reasoning = delta.reasoning_content ?? delta.reasoning ?? (Array.isArray(details) ? details : null);
  if (Array.isArray(reasoning)) return reasoning.map((part) => part?.text ?? part?.summary ?? "").join("");
  return typeof reasoning === "string" ? reasoning : "";
}

/** Calls without an index are distinguished by their names: one that comes with a name begins a new call. */
function addCall(calls, piece) {
  const named = piece.function?.name ?? "";
  const index = piece.index ?? (named ? calls.length : Math.max(0, calls.length - 1));
  let call = calls.find((known) => known.index === index);
  if (!call) {
    call = { index, name: "", arguments: "" };
    calls.push(call);
  }
  if (!call.name) call.name = named;
  call.arguments += piece.function?.arguments ?? "";
}
