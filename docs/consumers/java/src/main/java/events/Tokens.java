package events;

import com.fasterxml.jackson.annotation.*;

/**
 * What `usage` says, in the same words for every API.
 *
 * Numbers of tokens; null where the upstream does not say.
 */
public class Tokens {
    private Long cacheWritten;
    private Long cached;
    private Long input;
    private Long output;
    private Long reasoning;

    /**
     * Of the input: those written into a cache.
     */
    @JsonProperty("cache_written")
    public Long getCacheWritten() { return cacheWritten; }
    @JsonProperty("cache_written")
    public void setCacheWritten(Long value) { this.cacheWritten = value; }

    /**
     * Of the input: those read from a cache.
     */
    @JsonProperty("cached")
    public Long getCached() { return cached; }
    @JsonProperty("cached")
    public void setCached(Long value) { this.cached = value; }

    /**
     * Read, those from and into a cache included.
     */
    @JsonProperty("input")
    public Long getInput() { return input; }
    @JsonProperty("input")
    public void setInput(Long value) { this.input = value; }

    /**
     * Generated, reasoning included.
     */
    @JsonProperty("output")
    public Long getOutput() { return output; }
    @JsonProperty("output")
    public void setOutput(Long value) { this.output = value; }

    /**
     * Of the output: those of the reasoning.
     */
    @JsonProperty("reasoning")
    public Long getReasoning() { return reasoning; }
    @JsonProperty("reasoning")
    public void setReasoning(Long value) { this.reasoning = value; }
}
