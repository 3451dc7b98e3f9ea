// Plays cases with the `openai` npm package and says what it made of them; knows nothing of the relay.

import OpenAI from "openai";

import { KEY, run, versionOf } from "./cases.mjs";

async function play(c) {
  const result = { id: c.id, chunks: [], answer: null, error: null };
  const told = { baseURL: c.url, apiKey: c.key ?? KEY, defaultHeaders: c.headers, timeout: 20000 };
  const client = new OpenAI(c.retries === undefined ? told : { ...told, maxRetries: c.retries });
  try {
    if (c.call === "stream") {
      const stream = await client.chat.completions.create({ stream: true, ...c.params });
      for await (const chunk of stream) {
        result.chunks.push(chunk);
        if (result.chunks.length === c.leave_after) break; // ending the loop aborts the request
      }
    } else if (c.call === "create") {
      result.answer = await client.chat.completions.create(c.params);
    } else if (c.call === "models") {
      result.answer = (await client.models.list()).data;
    } else {
      result.answer = await client[c.call].create(c.params);
    }
  } catch (error) {
    result.error = {
      class: error.constructor.name,
      status: error.status ?? null,
      code: error.code ?? null,
      type: error.type ?? null,
      body: error.error ?? null,
      message: error.message,
    };
  }
  return result;
}

await run(versionOf("openai"), play);
