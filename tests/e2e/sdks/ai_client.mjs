// Plays cases with Vercel's `ai` and its provider for OpenAI-compatible upstreams; knows nothing of the relay.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, streamText, tool } from "ai";

import { KEY, run, versionOf } from "./cases.mjs";

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
  const named = (params.tools ?? []).map((offered) => [
    offered.function.name,
    tool({ description: "", inputSchema: jsonSchema(offered.function.parameters ?? { type: "object" }) }),
  ]);
  return named.length ? Object.fromEntries(named) : undefined;
}

async function play(c) {
  const result = { id: c.id, chunks: [], answer: null, error: null };
  const provider = createOpenAICompatible({
    name: "novita",
    baseURL: c.url,
    apiKey: KEY,
    headers: c.headers,
    includeUsage: true,
  });
  const leaving = new AbortController();
  const call = {
    model: provider(c.params.model),
    messages: c.params.messages,
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
