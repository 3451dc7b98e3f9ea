package events;

import com.fasterxml.jackson.annotation.*;
import java.util.List;
import java.util.Map;

/**
 * What the client requested, as far as `capture.request` allows it.
 */
public class RequestData {
    private long bytes;
    private Messages messages;
    private Long messagesCount;
    private Map<String, Object> parameters;
    private Messages system;
    private List<Object> tools;
    private Long toolsCount;

    /**
     * Size of the request's body.
     */
    @JsonProperty("bytes")
    public long getBytes() { return bytes; }
    @JsonProperty("bytes")
    public void setBytes(long value) { this.bytes = value; }

    /**
     * `messages`, `input` or `prompt` as sent; null if larger than 256 KiB together with
     * `system` and `tools`, or unless `capture.request` is `full`.
     */
    @JsonProperty("messages")
    public Messages getMessages() { return messages; }
    @JsonProperty("messages")
    public void setMessages(Messages value) { this.messages = value; }

    /**
     * Number of messages in the request; a text counts as one.
     */
    @JsonProperty("messages_count")
    public Long getMessagesCount() { return messagesCount; }
    @JsonProperty("messages_count")
    public void setMessagesCount(Long value) { this.messagesCount = value; }

    /**
     * Numbers, booleans and known words, such as `temperature`; no free text.
     */
    @JsonProperty("parameters")
    public Map<String, Object> getParameters() { return parameters; }
    @JsonProperty("parameters")
    public void setParameters(Map<String, Object> value) { this.parameters = value; }

    /**
     * `system` or `instructions` as sent, where the API has them; null in the same cases.
     */
    @JsonProperty("system")
    public Messages getSystem() { return system; }
    @JsonProperty("system")
    public void setSystem(Messages value) { this.system = value; }

    /**
     * As sent; null in the same cases as `messages`.
     */
    @JsonProperty("tools")
    public List<Object> getTools() { return tools; }
    @JsonProperty("tools")
    public void setTools(List<Object> value) { this.tools = value; }

    /**
     * Number of tools offered to the model.
     */
    @JsonProperty("tools_count")
    public Long getToolsCount() { return toolsCount; }
    @JsonProperty("tools_count")
    public void setToolsCount(Long value) { this.toolsCount = value; }
}
