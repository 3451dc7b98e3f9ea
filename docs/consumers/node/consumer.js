/** Reads tasks and chats from Kafka into a ledger, each event's effect once. */
import { Kafka } from "kafkajs";
import Database from "libsql";

/** @typedef {import("./events/events.js").TaskData} TaskData */
/** @typedef {import("./events/events.js").ChatData} ChatData */

const { KAFKA = "localhost:9092", KAFKA_PREFIX = "relay." } = process.env;
const db = new Database("ledger.db");
db.exec(`
  CREATE TABLE IF NOT EXISTS seen (source TEXT, id TEXT, PRIMARY KEY (source, id));
  CREATE TABLE IF NOT EXISTS outputs (task_id TEXT, kind TEXT, url TEXT);
  CREATE TABLE IF NOT EXISTS usage (chat_id TEXT, model TEXT, tokens INTEGER);
`);
const note = db.prepare("INSERT OR IGNORE INTO seen VALUES (?, ?)");
const addOutput = db.prepare("INSERT INTO outputs VALUES (?, ?, ?)");
const addUsage = db.prepare("INSERT INTO usage VALUES (?, ?, ?)");

/** One transaction: the note that the event was seen, and its effect. Answers whether it is new. */
const record = db.transaction((/** @type {Record<string, string>} */ event, /** @type {string} */ data) => {
  const isNew = note.run(event.source, event.id).changes > 0;
  if (isNew) apply(event, data);
  return isNew;
});

/** @param {Record<string, string>} event @param {string} data */
function apply(event, data) {
  if (!["relay.task.succeeded", "relay.chat.completed"].includes(event.type)) return;
  if (event.dataschema === "urn:relay:schema:task:1") {
    /** @type {TaskData} */ const task = JSON.parse(data);
    for (const output of task.outputs) addOutput.run(task.task_id, output.kind, output.url);
  } else if (event.dataschema === "urn:relay:schema:chat:1") {
    /** @type {ChatData} */ const chat = JSON.parse(data);
    addUsage.run(chat.chat_id, chat.model, chat.usage?.total_tokens ?? null);
  } else {
    throw new Error(`${event.id} follows ${event.dataschema}, which is newer than this program: nothing was done`);
  }
}

const consumer = new Kafka({ brokers: [KAFKA] }).consumer({ groupId: "ledger-node", sessionTimeout: 6_000 });
await consumer.connect(); // reads committed transactions only, by default
await consumer.subscribe({ topics: [`${KAFKA_PREFIX}tasks`, `${KAFKA_PREFIX}chat`], fromBeginning: true });
await consumer.run({
  autoCommit: false,
  eachBatch: async ({ batch: { topic, partition, messages }, heartbeat }) => {
    for (const message of messages) {
      const headers = Object.entries(message.headers ?? {});
      const event = Object.fromEntries(headers.map(([name, value]) => [name.replace(/^ce_/, ""), String(value)]));
      try {
        console.log(record(event, String(message.value)) ? "new" : "repeated", event.type, event.subject);
      } catch (error) {
        console.error(error); // the next start begins with this batch
        process.exit(1);
      }
      await heartbeat(); // an effect that takes longer than the session loses the partition
    }
    // After the effects: a crash before this line repeats the batch.
    const next = BigInt(messages[messages.length - 1].offset) + 1n;
    await consumer.commitOffsets([{ topic, partition, offset: String(next) }]);
  },
});
