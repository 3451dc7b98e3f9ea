package events;

import com.fasterxml.jackson.annotation.*;

/**
 * The upstream's verdict on one output.
 */
public class Nsfw {
    private Double confidence;
    private Boolean valid;

    /**
     * The upstream's confidence in it, on its own scale.
     */
    @JsonProperty("confidence")
    public Double getConfidence() { return confidence; }
    @JsonProperty("confidence")
    public void setConfidence(Double value) { this.confidence = value; }

    /**
     * The upstream's `valid` flag.
     */
    @JsonProperty("valid")
    public Boolean getValid() { return valid; }
    @JsonProperty("valid")
    public void setValid(Boolean value) { this.valid = value; }
}
