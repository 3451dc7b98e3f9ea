// What the two JavaScript clients share: cases from stdin, a few at once, results to stdout.

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
