// A chat as text while it grows: what relay says that its chunks say, joined, and at its end the whole.

/** The answers of one chat, from the entries of its events (GET /v1/events?choices=true): pieces, then the whole. Pure. */
export class Conversation {
  /** `{index, content, reasoning, calls: [{name, arguments}], finish}` in the order of their index. */
  answers = [];
  chunks = 0;
  ended = false;

  /** Takes in an event of the chat; whether it changed anything. */
  take({ event, choices }) {
    if (event.type === "relay.chat.chunk") {
      if (this.ended) return false;
      for (const choice of choices) this.#add(choice);
      this.chunks += event.data.chunks.length;
      return true;
    }
    if (!event.data?.outcome) return false;
    this.ended = true;
    if (event.data.choices.length) this.answers = event.data.choices.map(answerOf);
    return true;
  }

  #add(choice) {
    const answer = this.#answer(choice.index);
    answer.content += choice.content ?? "";
    answer.reasoning += choice.reasoning_content ?? "";
    for (const call of choice.tool_calls) addCall(answer.calls, call);
    answer.finish = choice.finish_reason ?? answer.finish;
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

/** What some choices say, joined: content, or else the reasoning. */
export function textOf(choices) {
  return choices.map(({ content }) => content ?? "").join("") || choices.map(({ reasoning_content: text }) => text ?? "").join("");
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

/** A call goes on where it has its place; one with another id begins where an upstream gives all the same place. */
function addCall(calls, { index, id, function: { name, arguments: piece } }) {
  let call = calls.findLast((known) => known.index === index);
  if (!call || (id && call.id && id !== call.id)) {
    call = { index, id, name: "", arguments: "" };
    calls.push(call);
  }
  call.id ??= id;
  call.name ||= name ?? "";
  call.arguments += piece ?? "";
}
