// Plays cases with Vercel's `ai` and its providers for each API; knows nothing of the relay.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, streamText, tool } from "ai";

import { KEY, run, versionOf } from "./cases.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false; // of features that a provider does not know; stdout is for the results

// What differs from call to call although the upstream's answer is the same.
const FLEETING = new Set(["headers", "request", "timestamp"]);
const INVENTED = "aitxt-"; // the id that the SDK gives to an answer which names none

function lasting(key, value) {
  if (FLEETING.has(key)) return undefined;
  return typeof value === "string" && value.startsWith(INVENTED) ? INVENTED : value;
}

function plain(value) {
  return JSON.parse(JSON.stringify(value, lasting));
}

function told(error) {
  const last = error.lastError ?? error;
  return {
    class: error.name ?? error.constructor.name,
    last: last.name ?? null,
    status: last.statusCode ?? null,
    body: last.responseBody ?? null,
    message: error.message ?? String(error.error ?? error),
  };
}

function toolsOf(params) {
  const named = (params.tools ?? []).map((offered) => {
    const { name, parameters, input_schema: schema } = offered.function ?? offered;
    return [name, tool({ description: "", inputSchema: jsonSchema(parameters ?? schema ?? { type: "object" }) })];
  });
  return named.length ? Object.fromEntries(named) : undefined;
}

// As the SDK wants them; each provider turns them into those of its API.
function messagesOf({ input, messages }) {
  if (typeof input === "string") return [{ role: "user", content: input }];
  return (messages ?? input).map(({ role, content }) => ({ role, content: partsOf(content) }));
}

function partsOf(content) {
  if (typeof content === "string") return content;
  return content.map((part) =>
    part.text ? { type: "text", text: part.text } : { type: "image", image: part.source?.data ?? part.image_url },
  );
}

function modelOf(c) {
  const settings = { baseURL: c.url, apiKey: KEY, headers: c.headers };
  if (c.api === "messages") return createAnthropic({ ...settings, baseURL: `${c.url}/v1` })(c.params.model);
  if (c.api === "responses") return createOpenAI(settings).responses(c.params.model);
  return createOpenAICompatible({ ...settings, name: "novita", includeUsage: true })(c.params.model);
}

async function play(c) {
  const result = { id: c.id, chunks: [], answer: null, error: null };
  const leaving = new AbortController();
  const call = {
    model: modelOf(c),
    messages: messagesOf(c.params),
    tools: toolsOf(c.params),
    abortSignal: leaving.signal,
  };
  try {
    if (c.call === "create") {
      const { text, toolCalls, finishReason, usage, reasoningText } = await generateText(call);
      result.answer = plain({ text, toolCalls, finishReason, usage, reasoningText });
      return result;
    }
    const streamed = streamText({ ...call, includeRawChunks: true, onError: () => {} });
    for await (const part of streamed.fullStream) {
      if (part.type === "error") result.error = told(part.error);
      else result.chunks.push(plain(part));
      if (result.chunks.length === c.leave_after) leaving.abort();
    }
  } catch (error) {
    result.error = told(error);
  }
  return result;
}

await run(versionOf("ai"), play);
