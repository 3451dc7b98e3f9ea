package events;

import com.fasterxml.jackson.annotation.*;
import java.util.Map;

/**
 * One generated file.
 */
public class Output {
    private String expiresAt;
    private String format;
    private Kind kind;
    private Map<String, Object> metadata;
    private Nsfw nsfw;
    private Double ttlSeconds;
    private String url;

    /**
     * When the URL expires: by its signature, else `ttl_seconds` after receipt, else unknown.
     */
    @JsonProperty("expires_at")
    public String getExpiresAt() { return expiresAt; }
    @JsonProperty("expires_at")
    public void setExpiresAt(String value) { this.expiresAt = value; }

    /**
     * The file type as reported, such as `jpeg`, `mp4`, `wav`.
     */
    @JsonProperty("format")
    public String getFormat() { return format; }
    @JsonProperty("format")
    public void setFormat(String value) { this.format = value; }

    /**
     * From the array that contained it, not from the task's type.
     */
    @JsonProperty("kind")
    public Kind getKind() { return kind; }
    @JsonProperty("kind")
    public void setKind(Kind value) { this.kind = value; }

    /**
     * The upstream's metadata for this file; for audio `text`, `start_time`, `end_time` (s).
     */
    @JsonProperty("metadata")
    public Map<String, Object> getMetadata() { return metadata; }
    @JsonProperty("metadata")
    public void setMetadata(Map<String, Object> value) { this.metadata = value; }

    /**
     * The upstream's NSFW verdict; null if it gave none.
     */
    @JsonProperty("nsfw")
    public Nsfw getNsfw() { return nsfw; }
    @JsonProperty("nsfw")
    public void setNsfw(Nsfw value) { this.nsfw = value; }

    /**
     * How long the URL is valid, in seconds, as reported; null if unknown (reported as 0).
     */
    @JsonProperty("ttl_seconds")
    public Double getTtlSeconds() { return ttlSeconds; }
    @JsonProperty("ttl_seconds")
    public void setTtlSeconds(Double value) { this.ttlSeconds = value; }

    /**
     * Where to fetch it, as given; often presigned for about an hour.
     */
    @JsonProperty("url")
    public String getUrl() { return url; }
    @JsonProperty("url")
    public void setUrl(String value) { this.url = value; }
}
