// To use this code, add the following Maven dependency to your project:
//
//
//     com.fasterxml.jackson.core     : jackson-databind          : 2.9.0
//     com.fasterxml.jackson.datatype : jackson-datatype-jsr310   : 2.9.0
//
// Import this package:
//
//     import events.Converter;
//
// Then you can deserialize a JSON string with
//
//     ChatData data = Converter.ChatDataFromJsonString(jsonString);
//     TaskData data = Converter.TaskDataFromJsonString(jsonString);

package events;

import java.io.IOException;
import com.fasterxml.jackson.databind.*;
import com.fasterxml.jackson.databind.module.SimpleModule;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import java.util.*;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.time.OffsetTime;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeFormatterBuilder;
import java.time.temporal.ChronoField;

public class Converter {
    // Date-time helpers

    private static final DateTimeFormatter DATE_TIME_FORMATTER = new DateTimeFormatterBuilder()
            .appendOptional(DateTimeFormatter.ISO_DATE_TIME)
            .appendOptional(DateTimeFormatter.ISO_OFFSET_DATE_TIME)
            .appendOptional(DateTimeFormatter.ISO_INSTANT)
            .appendOptional(DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss.SX"))
            .appendOptional(DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ssX"))
            .appendOptional(DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss"))
            .toFormatter()
            .withZone(ZoneOffset.UTC);

    public static OffsetDateTime parseDateTimeString(String str) {
        return ZonedDateTime.from(Converter.DATE_TIME_FORMATTER.parse(str)).toOffsetDateTime();
    }

    private static final DateTimeFormatter TIME_FORMATTER = new DateTimeFormatterBuilder()
            .appendOptional(DateTimeFormatter.ISO_TIME)
            .appendOptional(DateTimeFormatter.ISO_OFFSET_TIME)
            .parseDefaulting(ChronoField.YEAR, 2020)
            .parseDefaulting(ChronoField.MONTH_OF_YEAR, 1)
            .parseDefaulting(ChronoField.DAY_OF_MONTH, 1)
            .toFormatter()
            .withZone(ZoneOffset.UTC);

    public static OffsetTime parseTimeString(String str) {
        return ZonedDateTime.from(Converter.TIME_FORMATTER.parse(str)).toOffsetDateTime().toOffsetTime();
    }
    // Serialize/deserialize helpers

    public static ChatData ChatDataFromJsonString(String json) throws IOException {
        return getChatDataObjectReader().readValue(json);
    }

    public static String ChatDataToJsonString(ChatData obj) throws JsonProcessingException {
        return getChatDataObjectWriter().writeValueAsString(obj);
    }

    public static TaskData TaskDataFromJsonString(String json) throws IOException {
        return getTaskDataObjectReader().readValue(json);
    }

    public static String TaskDataToJsonString(TaskData obj) throws JsonProcessingException {
        return getTaskDataObjectWriter().writeValueAsString(obj);
    }

    private static ObjectReader ChatDataReader;
    private static ObjectWriter ChatDataWriter;

    private static void instantiateChatDataMapper() {
        ObjectMapper mapper = new ObjectMapper();
        mapper.findAndRegisterModules();
        mapper.configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false);
        mapper.configure(SerializationFeature.WRITE_DATES_AS_TIMESTAMPS, false);
        SimpleModule module = new SimpleModule();
        module.addDeserializer(OffsetDateTime.class, new JsonDeserializer<OffsetDateTime>() {
            @Override
            public OffsetDateTime deserialize(JsonParser jsonParser, DeserializationContext deserializationContext) throws IOException, JsonProcessingException {
                String value = jsonParser.getText();
                return Converter.parseDateTimeString(value);
            }
        });
        mapper.registerModule(module);
        ChatDataReader = mapper.readerFor(ChatData.class);
        ChatDataWriter = mapper.writerFor(ChatData.class);
    }

    private static ObjectReader getChatDataObjectReader() {
        if (ChatDataReader == null) instantiateChatDataMapper();
        return ChatDataReader;
    }

    private static ObjectWriter getChatDataObjectWriter() {
        if (ChatDataWriter == null) instantiateChatDataMapper();
        return ChatDataWriter;
    }

    private static ObjectReader TaskDataReader;
    private static ObjectWriter TaskDataWriter;

    private static void instantiateTaskDataMapper() {
        ObjectMapper mapper = new ObjectMapper();
        mapper.findAndRegisterModules();
        mapper.configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false);
        mapper.configure(SerializationFeature.WRITE_DATES_AS_TIMESTAMPS, false);
        SimpleModule module = new SimpleModule();
        module.addDeserializer(OffsetDateTime.class, new JsonDeserializer<OffsetDateTime>() {
            @Override
            public OffsetDateTime deserialize(JsonParser jsonParser, DeserializationContext deserializationContext) throws IOException, JsonProcessingException {
                String value = jsonParser.getText();
                return Converter.parseDateTimeString(value);
            }
        });
        mapper.registerModule(module);
        TaskDataReader = mapper.readerFor(TaskData.class);
        TaskDataWriter = mapper.writerFor(TaskData.class);
    }

    private static ObjectReader getTaskDataObjectReader() {
        if (TaskDataReader == null) instantiateTaskDataMapper();
        return TaskDataReader;
    }

    private static ObjectWriter getTaskDataObjectWriter() {
        if (TaskDataWriter == null) instantiateTaskDataMapper();
        return TaskDataWriter;
    }
}
