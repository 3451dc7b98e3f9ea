// Reads tasks and chats from Kafka into a ledger, each event's effect once.
package main

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	_ "modernc.org/sqlite"

	"relay-consumer/events"
)

const tables = `
	CREATE TABLE IF NOT EXISTS seen (source TEXT, id TEXT, PRIMARY KEY (source, id));
	CREATE TABLE IF NOT EXISTS outputs (task_id TEXT, kind TEXT, url TEXT);
	CREATE TABLE IF NOT EXISTS usage (chat_id TEXT, model TEXT, tokens INTEGER);`

func main() {
	ctx, prefix := context.Background(), cmp.Or(os.Getenv("KAFKA_PREFIX"), "relay.")
	db := must(sql.Open("sqlite", "ledger.db"))
	must(db.Exec(tables))
	client := must(kgo.NewClient(
		kgo.SeedBrokers(cmp.Or(os.Getenv("KAFKA"), "localhost:9092")),
		kgo.ConsumeTopics(prefix+"tasks", prefix+"chat"),
		kgo.ConsumerGroup("ledger-go"),
		kgo.InstanceID("ledger-go-1"), // after a crash it has its partitions back at once
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
	))
	for {
		fetches := client.PollFetches(ctx)
		fetches.EachError(func(topic string, partition int32, err error) { log.Print(topic, partition, err) })
		fetches.EachRecord(func(message *kgo.Record) {
			event := map[string]string{}
			for _, header := range message.Headers {
				event[strings.TrimPrefix(header.Key, "ce_")] = string(header.Value)
			}
			fmt.Println(must(record(db, event, message.Value)), event["type"], event["subject"])
		})
		if err := client.CommitUncommittedOffsets(ctx); err != nil { // after the effects: a crash before this repeats them
			log.Fatal(err)
		}
	}
}

// record has the effect in one transaction with the note that the event was seen.
func record(db *sql.DB, event map[string]string, data []byte) (string, error) {
	tx := must(db.Begin())
	defer tx.Rollback()
	noted := must(tx.Exec("INSERT OR IGNORE INTO seen VALUES (?, ?)", event["source"], event["id"]))
	if must(noted.RowsAffected()) == 0 {
		return "repeated", nil
	}
	if err := apply(tx, event, data); err != nil {
		return "", err
	}
	return "new", tx.Commit()
}

func apply(tx *sql.Tx, event map[string]string, data []byte) error {
	switch {
	case event["type"] != "relay.task.succeeded" && event["type"] != "relay.chat.completed":
		return nil
	case event["dataschema"] == "urn:relay:schema:task:1":
		var task events.TaskData
		if err := json.Unmarshal(data, &task); err != nil {
			return err
		}
		for _, output := range task.Outputs {
			if _, err := tx.Exec("INSERT INTO outputs VALUES (?, ?, ?)", task.TaskID, output.Kind, output.URL); err != nil {
				return err
			}
		}
		return nil
	case event["dataschema"] == "urn:relay:schema:chat:1":
		var chat events.ChatData
		if err := json.Unmarshal(data, &chat); err != nil {
			return err
		}
		_, err := tx.Exec("INSERT INTO usage VALUES (?, ?, ?)", chat.ChatID, chat.Model, chat.Usage["total_tokens"])
		return err
	}
	return fmt.Errorf("%s follows %s, which is newer than this program: nothing was done", event["id"], event["dataschema"])
}

// must ends the program, which begins with the same event when it is started again.
func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
