package events;

import com.fasterxml.jackson.annotation.*;
import java.util.List;

/**
 * One answer of the model, put together from its deltas.
 */
public class Choice {
    private String content;
    private String finishReason;
    private long index;
    private String reasoningContent;
    private String role;
    private List<ToolCall> toolCalls;

    /**
     * The joined pieces; null if there were none, or if not captured.
     */
    @JsonProperty("content")
    public String getContent() { return content; }
    @JsonProperty("content")
    public void setContent(String value) { this.content = value; }

    /**
     * As reported: `stop`, `length`, `tool_calls`, ...
     */
    @JsonProperty("finish_reason")
    public String getFinishReason() { return finishReason; }
    @JsonProperty("finish_reason")
    public void setFinishReason(String value) { this.finishReason = value; }

    /**
     * Its position among the choices, as the upstream numbers them.
     */
    @JsonProperty("index")
    public long getIndex() { return index; }
    @JsonProperty("index")
    public void setIndex(long value) { this.index = value; }

    /**
     * The reasoning, from `reasoning_content`, `reasoning` or `reasoning_details`.
     */
    @JsonProperty("reasoning_content")
    public String getReasoningContent() { return reasoningContent; }
    @JsonProperty("reasoning_content")
    public void setReasoningContent(String value) { this.reasoningContent = value; }

    /**
     * As given; usually `assistant`.
     */
    @JsonProperty("role")
    public String getRole() { return role; }
    @JsonProperty("role")
    public void setRole(String value) { this.role = value; }

    /**
     * Sorted by index.
     */
    @JsonProperty("tool_calls")
    public List<ToolCall> getToolCalls() { return toolCalls; }
    @JsonProperty("tool_calls")
    public void setToolCalls(List<ToolCall> value) { this.toolCalls = value; }
}
