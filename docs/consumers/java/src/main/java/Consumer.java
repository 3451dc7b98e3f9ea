import static java.nio.charset.StandardCharsets.UTF_8;

import events.ChatData;
import events.Converter;
import events.TaskData;
import java.sql.Connection;
import java.sql.DriverManager;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Reads tasks and chats from Kafka into a ledger, each event's effect once. */
public class Consumer {
    public static void main(String[] arguments) throws Exception {
        var prefix = System.getenv().getOrDefault("KAFKA_PREFIX", "relay.");
        Map<String, Object> settings = Map.of(
            "bootstrap.servers", System.getenv().getOrDefault("KAFKA", "localhost:9092"),
            "group.id", "ledger-java",
            "group.instance.id", "ledger-java-1", // after a crash it has its partitions back at once
            "isolation.level", "read_committed",
            "auto.offset.reset", "earliest",
            "enable.auto.commit", false);
        try (var ledger = DriverManager.getConnection("jdbc:sqlite:ledger.db");
            var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            execute(ledger, "CREATE TABLE IF NOT EXISTS seen (source TEXT, id TEXT, PRIMARY KEY (source, id))");
            execute(ledger, "CREATE TABLE IF NOT EXISTS outputs (task_id TEXT, kind TEXT, url TEXT)");
            execute(ledger, "CREATE TABLE IF NOT EXISTS usage (chat_id TEXT, model TEXT, tokens INTEGER)");
            ledger.setAutoCommit(false);
            consumer.subscribe(List.of(prefix + "tasks", prefix + "chat"));
            while (true) {
                for (var message : consumer.poll(Duration.ofSeconds(1))) {
                    var event = new HashMap<String, String>();
                    message.headers().forEach(h -> event.put(h.key().replaceFirst("^ce_", ""), new String(h.value(), UTF_8)));
                    var isNew = record(ledger, event, message.value());
                    System.out.println((isNew ? "new " : "repeated ") + event.get("type") + " " + event.get("subject"));
                }
                consumer.commitSync(); // after the effects: a crash before this line repeats them
            }
        }
    }

    /** One transaction: the note that the event was seen, and its effect. What fails ends the program, which begins there again. */
    static boolean record(Connection ledger, Map<String, String> event, String data) throws Exception {
        var isNew = execute(ledger, "INSERT OR IGNORE INTO seen VALUES (?, ?)", event.get("source"), event.get("id")) > 0;
        if (isNew) apply(ledger, event, data);
        ledger.commit();
        return isNew;
    }

    static void apply(Connection ledger, Map<String, String> event, String data) throws Exception {
        if (!List.of("relay.task.succeeded", "relay.chat.completed").contains(event.get("type"))) return;
        switch (event.get("dataschema")) {
            case "urn:relay:schema:task:1" -> {
                TaskData task = Converter.TaskDataFromJsonString(data);
                for (var output : task.getOutputs())
                    execute(ledger, "INSERT INTO outputs VALUES (?, ?, ?)", task.getTaskId(), output.getKind().toValue(), output.getUrl());
            }
            case "urn:relay:schema:chat:1" -> {
                ChatData chat = Converter.ChatDataFromJsonString(data);
                var tokens = chat.getUsage() == null ? null : chat.getUsage().get("total_tokens");
                execute(ledger, "INSERT INTO usage VALUES (?, ?, ?)", chat.getChatId(), chat.getModel(), tokens);
            }
            default -> throw new IllegalStateException(
                event.get("id") + " follows " + event.get("dataschema") + ", which is newer than this program: nothing was done");
        }
    }

    static int execute(Connection ledger, String sql, Object... values) throws Exception {
        try (var statement = ledger.prepareStatement(sql)) {
            for (int i = 0; i < values.length; i++) statement.setObject(i + 1, values[i]);
            return statement.executeUpdate();
        }
    }
}
