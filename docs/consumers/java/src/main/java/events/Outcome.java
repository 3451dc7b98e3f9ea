package events;

import java.io.IOException;
import com.fasterxml.jackson.annotation.*;

/**
 * How it ended.
 */
public enum Outcome {
    CANCELLED, COMPLETED, FAILED;

    @JsonValue
    public String toValue() {
        switch (this) {
            case CANCELLED: return "cancelled";
            case COMPLETED: return "completed";
            case FAILED: return "failed";
        }
        return null;
    }

    @JsonCreator
    public static Outcome forValue(String value) throws IOException {
        if (value.equals("cancelled")) return CANCELLED;
        if (value.equals("completed")) return COMPLETED;
        if (value.equals("failed")) return FAILED;
        throw new IOException("Cannot deserialize Outcome");
    }
}
