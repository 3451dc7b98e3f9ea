package events;

import java.io.IOException;
import com.fasterxml.jackson.annotation.*;

/**
 * From the array that contained it, not from the task's type.
 */
public enum Kind {
    AUDIO, IMAGE, VIDEO;

    @JsonValue
    public String toValue() {
        switch (this) {
            case AUDIO: return "audio";
            case IMAGE: return "image";
            case VIDEO: return "video";
        }
        return null;
    }

    @JsonCreator
    public static Kind forValue(String value) throws IOException {
        if (value.equals("audio")) return AUDIO;
        if (value.equals("image")) return IMAGE;
        if (value.equals("video")) return VIDEO;
        throw new IOException("Cannot deserialize Kind");
    }
}
