// Plays cases with the `@anthropic-ai/sdk` npm package and says what it made of them; knows nothing of the relay.

import Anthropic from "@anthropic-ai/sdk";

import { playWith, run, versionOf } from "./cases.mjs";

await run(versionOf("@anthropic-ai/sdk"), (c) => playWith((settings) => new Anthropic(settings).messages, c));
