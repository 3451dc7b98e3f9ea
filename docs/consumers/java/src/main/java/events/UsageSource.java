package events;

import java.io.IOException;
import com.fasterxml.jackson.annotation.*;

/**
 * Whether the upstream reported `usage`.
 */
public enum UsageSource {
    ABSENT, REPORTED;

    @JsonValue
    public String toValue() {
        switch (this) {
            case ABSENT: return "absent";
            case REPORTED: return "reported";
        }
        return null;
    }

    @JsonCreator
    public static UsageSource forValue(String value) throws IOException {
        if (value.equals("absent")) return ABSENT;
        if (value.equals("reported")) return REPORTED;
        throw new IOException("Cannot deserialize UsageSource");
    }
}
