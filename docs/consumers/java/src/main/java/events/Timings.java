package events;

import com.fasterxml.jackson.annotation.*;

/**
 * The upstream's own times.
 *
 * Times according to the upstream.
 */
public class Timings {
    private String finishedAt;
    private String startedAt;
    private String submittedAt;

    /**
     * When work on it ended.
     */
    @JsonProperty("finished_at")
    public String getFinishedAt() { return finishedAt; }
    @JsonProperty("finished_at")
    public void setFinishedAt(String value) { this.finishedAt = value; }

    /**
     * When work on it began.
     */
    @JsonProperty("started_at")
    public String getStartedAt() { return startedAt; }
    @JsonProperty("started_at")
    public void setStartedAt(String value) { this.startedAt = value; }

    /**
     * When the task was submitted.
     */
    @JsonProperty("submitted_at")
    public String getSubmittedAt() { return submittedAt; }
    @JsonProperty("submitted_at")
    public void setSubmittedAt(String value) { this.submittedAt = value; }
}
