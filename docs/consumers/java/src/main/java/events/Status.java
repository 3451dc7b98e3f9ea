package events;

import java.io.IOException;
import com.fasterxml.jackson.annotation.*;

/**
 * The state of the task, as relay names it.
 */
public enum Status {
    ABANDONED, FAILED, RUNNING, SUBMITTED, SUCCEEDED;

    @JsonValue
    public String toValue() {
        switch (this) {
            case ABANDONED: return "abandoned";
            case FAILED: return "failed";
            case RUNNING: return "running";
            case SUBMITTED: return "submitted";
            case SUCCEEDED: return "succeeded";
        }
        return null;
    }

    @JsonCreator
    public static Status forValue(String value) throws IOException {
        if (value.equals("abandoned")) return ABANDONED;
        if (value.equals("failed")) return FAILED;
        if (value.equals("running")) return RUNNING;
        if (value.equals("submitted")) return SUBMITTED;
        if (value.equals("succeeded")) return SUCCEEDED;
        throw new IOException("Cannot deserialize Status");
    }
}
