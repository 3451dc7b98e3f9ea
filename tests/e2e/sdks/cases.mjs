// What the JavaScript clients share: cases from stdin, a few at once, results to stdout.

import { readFileSync } from "node:fs";

export const KEY = "sk-test-0123456789abcdef";
const AT_ONCE = 8;

export async function run(version, play) {
  const cases = JSON.parse(readFileSync(0, "utf8"));
  const results = new Array(cases.length);
  let next = 0;
  const worker = async () => {
    while (next < cases.length) {
      const place = next++;
      results[place] = await play(cases[place]);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  process.stdout.write(JSON.stringify({ version, results }));
}

export function versionOf(name) {
  const path = new URL(`./node_modules/${name}/package.json`, import.meta.url);
  return JSON.parse(readFileSync(path, "utf8")).version;
}

// The packages of OpenAI and Anthropic are built alike: `resourceOf` makes a client and names the API's part of it.
export async function playWith(resourceOf, c) {
  const result = { id: c.id, chunks: [], answer: null, error: null };
  const settings = { baseURL: c.url, apiKey: c.key ?? KEY, defaultHeaders: c.headers, timeout: 20000 };
  try {
    const resource = resourceOf(c.retries === undefined ? settings : { ...settings, maxRetries: c.retries }, c);
    if (c.call === "stream") {
      const stream = await resource.create({ stream: true, ...c.params });
      for await (const chunk of stream) {
        result.chunks.push(chunk);
        if (result.chunks.length === c.leave_after) break; // ending the loop aborts the request
      }
    } else if (c.call === "models") {
      result.answer = (await resource.list()).data;
    } else if (c.call === "count_tokens") {
      result.answer = await resource.countTokens(c.params);
    } else {
      result.answer = await resource.create(c.params);
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
