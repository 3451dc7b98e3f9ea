package events;

import com.fasterxml.jackson.annotation.*;
import java.util.List;
import java.util.Map;

/**
 * What the client requested, as far as `capture.request` allows it.
 */
public class RequestData {
    private long bytes;
    private List<Object> messages;
    private Long messagesCount;
    private Map<String, Object> parameters;
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
     * As sent; null unless `capture.request` is `full`, or above 256 KiB.
     */
    @JsonProperty("messages")
    public List<Object> getMessages() { return messages; }
    @JsonProperty("messages")
    public void setMessages(List<Object> value) { this.messages = value; }

    /**
     * Messages in the request.
     */
    @JsonProperty("messages_count")
    public Long getMessagesCount() { return messagesCount; }
    @JsonProperty("messages_count")
    public void setMessagesCount(Long value) { this.messagesCount = value; }

    /**
     * Numbers, switches and known words such as `temperature`; no texts.
     */
    @JsonProperty("parameters")
    public Map<String, Object> getParameters() { return parameters; }
    @JsonProperty("parameters")
    public void setParameters(Map<String, Object> value) { this.parameters = value; }

    /**
     * As sent; null as `messages` is.
     */
    @JsonProperty("tools")
    public List<Object> getTools() { return tools; }
    @JsonProperty("tools")
    public void setTools(List<Object> value) { this.tools = value; }

    /**
     * Tools offered to the model; 0 without any.
     */
    @JsonProperty("tools_count")
    public Long getToolsCount() { return toolsCount; }
    @JsonProperty("tools_count")
    public void setToolsCount(Long value) { this.toolsCount = value; }
}
