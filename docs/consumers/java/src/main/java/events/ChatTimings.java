package events;

import com.fasterxml.jackson.annotation.*;

/**
 * When things happened, in whole milliseconds after `started_at`.
 */
public class ChatTimings {
    private Long durationMs;
    private Long firstByteMs;
    private Long firstTokenMs;
    private String startedAt;

    /**
     * To the end; null if relay was restarted.
     */
    @JsonProperty("duration_ms")
    public Long getDurationMs() { return durationMs; }
    @JsonProperty("duration_ms")
    public void setDurationMs(Long value) { this.durationMs = value; }

    /**
     * To the first byte of the answer's body.
     */
    @JsonProperty("first_byte_ms")
    public Long getFirstByteMs() { return firstByteMs; }
    @JsonProperty("first_byte_ms")
    public void setFirstByteMs(Long value) { this.firstByteMs = value; }

    /**
     * To the first content, reasoning or tool call of a stream.
     */
    @JsonProperty("first_token_ms")
    public Long getFirstTokenMs() { return firstTokenMs; }
    @JsonProperty("first_token_ms")
    public void setFirstTokenMs(Long value) { this.firstTokenMs = value; }

    /**
     * When the request was received.
     */
    @JsonProperty("started_at")
    public String getStartedAt() { return startedAt; }
    @JsonProperty("started_at")
    public void setStartedAt(String value) { this.startedAt = value; }
}
