package events;

import java.io.IOException;
import com.fasterxml.jackson.annotation.*;

/**
 * How relay observed it.
 */
public enum ObservedVia {
    POLL, SUBMIT, WEBHOOK;

    @JsonValue
    public String toValue() {
        switch (this) {
            case POLL: return "poll";
            case SUBMIT: return "submit";
            case WEBHOOK: return "webhook";
        }
        return null;
    }

    @JsonCreator
    public static ObservedVia forValue(String value) throws IOException {
        if (value.equals("poll")) return POLL;
        if (value.equals("submit")) return SUBMIT;
        if (value.equals("webhook")) return WEBHOOK;
        throw new IOException("Cannot deserialize ObservedVia");
    }
}
