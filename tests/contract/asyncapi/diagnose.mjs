// Reads AsyncAPI documents, a JSON array of texts on standard input, with the official parser; prints what it says of each.
import { Parser } from "@asyncapi/parser";

let input = "";
for await (const piece of process.stdin) input += piece;
const reports = [];
for (const text of JSON.parse(input)) {
  const { document, diagnostics } = await new Parser().parse(text);
  reports.push({
    read: document !== undefined,
    channels: document ? document.channels().all().length : 0,
    messages: document ? document.messages().all().length : 0,
    diagnostics: diagnostics.map(({ severity, code, message, path }) => ({ severity, code, message, path })),
  });
}
console.log(JSON.stringify(reports));
