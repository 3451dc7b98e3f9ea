package events;

import com.fasterxml.jackson.annotation.*;

/**
 * The upstream's own times.
 *
 * When the upstream says that things happened.
 */
public class Timings {
    private String finishedAt;
    private String startedAt;
    private String submittedAt;

    /**
     * Work on it ended.
     */
    @JsonProperty("finished_at")
    public String getFinishedAt() { return finishedAt; }
    @JsonProperty("finished_at")
    public void setFinishedAt(String value) { this.finishedAt = value; }

    /**
     * Work on it began.
     */
    @JsonProperty("started_at")
    public String getStartedAt() { return startedAt; }
    @JsonProperty("started_at")
    public void setStartedAt(String value) { this.startedAt = value; }

    /**
     * The task was submitted.
     */
    @JsonProperty("submitted_at")
    public String getSubmittedAt() { return submittedAt; }
    @JsonProperty("submitted_at")
    public void setSubmittedAt(String value) { this.submittedAt = value; }
}
