package events;

import com.fasterxml.jackson.annotation.*;

/**
 * The error that the upstream reported, in any of its formats.
 */
public class UpstreamError {
    private String code;
    private String message;
    private String type;

    /**
     * The upstream's code as text, such as `503`.
     */
    @JsonProperty("code")
    public String getCode() { return code; }
    @JsonProperty("code")
    public void setCode(String value) { this.code = value; }

    /**
     * For people; at most 500 characters; null if content is not captured.
     */
    @JsonProperty("message")
    public String getMessage() { return message; }
    @JsonProperty("message")
    public void setMessage(String value) { this.message = value; }

    /**
     * The upstream's type or reason, such as `RATE_LIMIT_EXCEEDED`.
     */
    @JsonProperty("type")
    public String getType() { return type; }
    @JsonProperty("type")
    public void setType(String value) { this.type = value; }
}
