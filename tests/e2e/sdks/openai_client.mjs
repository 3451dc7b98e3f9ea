// Plays cases with the `openai` npm package and says what it made of them; knows nothing of the relay.

import OpenAI from "openai";

import { playWith, run, versionOf } from "./cases.mjs";

function resourceOf(settings, c) {
  const client = new OpenAI(settings);
  if (c.call === "models" || c.call === "embeddings") return client[c.call];
  return c.api === undefined || c.api === "chat_completions" ? client.chat.completions : client[c.api];
}

await run(versionOf("openai"), (c) => playWith(resourceOf, c));
