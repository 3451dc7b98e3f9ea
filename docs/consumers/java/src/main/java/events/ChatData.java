package events;

import com.fasterxml.jackson.annotation.*;
import java.util.List;
import java.util.Map;

/**
 * `data` of the events that end a chat. Unknown is null, never absent.
 */
public class ChatData {
    private String api;
    private Long bytes;
    private String chatId;
    private List<Choice> choices;
    private long chunks;
    private String client;
    private String completionId;
    private UpstreamError error;
    private long gaps;
    private Long httpStatus;
    private String model;
    private Outcome outcome;
    private Reason reason;
    private RequestData request;
    private ChatTimings timings;
    private Tokens tokens;
    private boolean truncated;
    private Map<String, Object> usage;
    private UsageSource usageSource;

    /**
     * The API that was called: `chat_completions`, `completions`, `responses` or `messages`;
     * null if the chat's beginning is no longer retained.
     */
    @JsonProperty("api")
    public String getApi() { return api; }
    @JsonProperty("api")
    public void setApi(String value) { this.api = value; }

    /**
     * Size of the answer's body; null if relay was restarted.
     */
    @JsonProperty("bytes")
    public Long getBytes() { return bytes; }
    @JsonProperty("bytes")
    public void setBytes(Long value) { this.bytes = value; }

    /**
     * relay's id of the chat.
     */
    @JsonProperty("chat_id")
    public String getChatId() { return chatId; }
    @JsonProperty("chat_id")
    public void setChatId(String value) { this.chatId = value; }

    /**
     * The assembled answers, sorted by index.
     */
    @JsonProperty("choices")
    public List<Choice> getChoices() { return choices; }
    @JsonProperty("choices")
    public void setChoices(List<Choice> value) { this.choices = value; }

    /**
     * Number of chunk objects from the upstream; 0 if not streamed.
     */
    @JsonProperty("chunks")
    public long getChunks() { return chunks; }
    @JsonProperty("chunks")
    public void setChunks(long value) { this.chunks = value; }

    /**
     * The name under `proxy.clients`; null for an unnamed client.
     */
    @JsonProperty("client")
    public String getClient() { return client; }
    @JsonProperty("client")
    public void setClient(String value) { this.client = value; }

    /**
     * The upstream's id of the answer.
     */
    @JsonProperty("completion_id")
    public String getCompletionId() { return completionId; }
    @JsonProperty("completion_id")
    public void setCompletionId(String value) { this.completionId = value; }

    /**
     * The upstream's error, if it reported one.
     */
    @JsonProperty("error")
    public UpstreamError getError() { return error; }
    @JsonProperty("error")
    public void setError(UpstreamError value) { this.error = value; }

    /**
     * Number of chunks that are in no chunk event, or could not be read.
     */
    @JsonProperty("gaps")
    public long getGaps() { return gaps; }
    @JsonProperty("gaps")
    public void setGaps(long value) { this.gaps = value; }

    /**
     * The upstream's status; null if it gave no answer.
     */
    @JsonProperty("http_status")
    public Long getHttpStatus() { return httpStatus; }
    @JsonProperty("http_status")
    public void setHttpStatus(Long value) { this.httpStatus = value; }

    /**
     * As the upstream names it, else as it was requested.
     */
    @JsonProperty("model")
    public String getModel() { return model; }
    @JsonProperty("model")
    public void setModel(String value) { this.model = value; }

    /**
     * How it ended.
     */
    @JsonProperty("outcome")
    public Outcome getOutcome() { return outcome; }
    @JsonProperty("outcome")
    public void setOutcome(Outcome value) { this.outcome = value; }

    /**
     * Why; null for an ordinary completion.
     */
    @JsonProperty("reason")
    public Reason getReason() { return reason; }
    @JsonProperty("reason")
    public void setReason(Reason value) { this.reason = value; }

    /**
     * The request; null if `capture.request` is `none`.
     */
    @JsonProperty("request")
    public RequestData getRequest() { return request; }
    @JsonProperty("request")
    public void setRequest(RequestData value) { this.request = value; }

    @JsonProperty("timings")
    public ChatTimings getTimings() { return timings; }
    @JsonProperty("timings")
    public void setTimings(ChatTimings value) { this.timings = value; }

    /**
     * What `usage` says, in the same words for every API.
     */
    @JsonProperty("tokens")
    public Tokens getTokens() { return tokens; }
    @JsonProperty("tokens")
    public void setTokens(Tokens value) { this.tokens = value; }

    /**
     * Whether texts in `choices` were cut to keep the event small.
     */
    @JsonProperty("truncated")
    public boolean getTruncated() { return truncated; }
    @JsonProperty("truncated")
    public void setTruncated(boolean value) { this.truncated = value; }

    /**
     * As the upstream reported it, with all its keys.
     */
    @JsonProperty("usage")
    public Map<String, Object> getUsage() { return usage; }
    @JsonProperty("usage")
    public void setUsage(Map<String, Object> value) { this.usage = value; }

    /**
     * Whether the upstream reported `usage`.
     */
    @JsonProperty("usage_source")
    public UsageSource getUsageSource() { return usageSource; }
    @JsonProperty("usage_source")
    public void setUsageSource(UsageSource value) { this.usageSource = value; }
}
