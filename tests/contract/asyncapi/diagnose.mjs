// Reads an AsyncAPI document on standard input with the official parser, and prints its diagnostics as JSON.
import { Parser } from "@asyncapi/parser";

let text = "";
for await (const piece of process.stdin) text += piece;
const { document, diagnostics } = await new Parser().parse(text);
console.log(JSON.stringify({
  read: document !== undefined,
  channels: document ? document.channels().all().length : 0,
  messages: document ? document.messages().all().length : 0,
  diagnostics: diagnostics.map(({ severity, code, message, path }) => ({ severity, code, message, path })),
}));
