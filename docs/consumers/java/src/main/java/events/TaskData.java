package events;

import com.fasterxml.jackson.annotation.*;
import java.util.List;
import java.util.Map;

/**
 * ``data`` of the events `relay.task.*`. Unknown is null, never absent.
 */
public class TaskData {
    private Double etaSeconds;
    private ObservedVia observedVia;
    private List<Output> outputs;
    private Double progressPercent;
    private Map<String, Object> raw;
    private String reason;
    private String receivedAt;
    private String seed;
    private Status status;
    private String taskId;
    private String taskType;
    private Boolean test;
    private Timings timings;
    private String upstreamStatus;

    /**
     * Expected time to the end, in seconds, as reported.
     */
    @JsonProperty("eta_seconds")
    public Double getEtaSeconds() { return etaSeconds; }
    @JsonProperty("eta_seconds")
    public void setEtaSeconds(Double value) { this.etaSeconds = value; }

    /**
     * How relay observed it.
     */
    @JsonProperty("observed_via")
    public ObservedVia getObservedVia() { return observedVia; }
    @JsonProperty("observed_via")
    public void setObservedVia(ObservedVia value) { this.observedVia = value; }

    /**
     * Images, then videos, then audios, each in upstream order.
     */
    @JsonProperty("outputs")
    public List<Output> getOutputs() { return outputs; }
    @JsonProperty("outputs")
    public void setOutputs(List<Output> value) { this.outputs = value; }

    /**
     * As reported; 0 is normal for an image that succeeded.
     */
    @JsonProperty("progress_percent")
    public Double getProgressPercent() { return progressPercent; }
    @JsonProperty("progress_percent")
    public void setProgressPercent(Double value) { this.progressPercent = value; }

    /**
     * The upstream's whole result, secrets and prompts redacted; null if `tasks.raw` is off.
     */
    @JsonProperty("raw")
    public Map<String, Object> getRaw() { return raw; }
    @JsonProperty("raw")
    public void setRaw(Map<String, Object> value) { this.raw = value; }

    /**
     * Why it failed, in the upstream's words; or why it was abandoned, as one of relay's codes.
     */
    @JsonProperty("reason")
    public String getReason() { return reason; }
    @JsonProperty("reason")
    public void setReason(String value) { this.reason = value; }

    /**
     * When relay observed it.
     */
    @JsonProperty("received_at")
    public String getReceivedAt() { return receivedAt; }
    @JsonProperty("received_at")
    public void setReceivedAt(String value) { this.receivedAt = value; }

    /**
     * Digits as text: seeds exceed the integers of many JSON parsers.
     */
    @JsonProperty("seed")
    public String getSeed() { return seed; }
    @JsonProperty("seed")
    public void setSeed(String value) { this.seed = value; }

    /**
     * The state of the task, as relay names it.
     */
    @JsonProperty("status")
    public Status getStatus() { return status; }
    @JsonProperty("status")
    public void setStatus(Status value) { this.status = value; }

    /**
     * The upstream's id; opaque.
     */
    @JsonProperty("task_id")
    public String getTaskId() { return taskId; }
    @JsonProperty("task_id")
    public void setTaskId(String value) { this.taskId = value; }

    /**
     * The upstream's name of the type, an open set; the endpoint's name for a submitted task.
     */
    @JsonProperty("task_type")
    public String getTaskType() { return taskType; }
    @JsonProperty("task_type")
    public void setTaskType(String value) { this.taskType = value; }

    /**
     * Whether it is a mock event (webhook test mode); null if the upstream did not say.
     */
    @JsonProperty("test")
    public Boolean getTest() { return test; }
    @JsonProperty("test")
    public void setTest(Boolean value) { this.test = value; }

    /**
     * The upstream's own times.
     */
    @JsonProperty("timings")
    public Timings getTimings() { return timings; }
    @JsonProperty("timings")
    public void setTimings(Timings value) { this.timings = value; }

    /**
     * The state as reported: `TASK_STATUS_SUCCEED`, ...
     */
    @JsonProperty("upstream_status")
    public String getUpstreamStatus() { return upstreamStatus; }
    @JsonProperty("upstream_status")
    public void setUpstreamStatus(String value) { this.upstreamStatus = value; }
}
