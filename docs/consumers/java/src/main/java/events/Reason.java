package events;

import java.io.IOException;
import com.fasterxml.jackson.annotation.*;

public enum Reason {
    CLIENT_GONE, EMPTY, ERROR_STATUS, NOT_JSON, RELAY_RESTARTED, RELAY_SHUTDOWN, SLOW_CLIENT, TRUNCATED, UPSTREAM_ERROR, UPSTREAM_RESET, UPSTREAM_TIMEOUT, UPSTREAM_UNREACHABLE;

    @JsonValue
    public String toValue() {
        switch (this) {
            case CLIENT_GONE: return "client_gone";
            case EMPTY: return "empty";
            case ERROR_STATUS: return "error_status";
            case NOT_JSON: return "not_json";
            case RELAY_RESTARTED: return "relay_restarted";
            case RELAY_SHUTDOWN: return "relay_shutdown";
            case SLOW_CLIENT: return "slow_client";
            case TRUNCATED: return "truncated";
            case UPSTREAM_ERROR: return "upstream_error";
            case UPSTREAM_RESET: return "upstream_reset";
            case UPSTREAM_TIMEOUT: return "upstream_timeout";
            case UPSTREAM_UNREACHABLE: return "upstream_unreachable";
        }
        return null;
    }

    @JsonCreator
    public static Reason forValue(String value) throws IOException {
        if (value.equals("client_gone")) return CLIENT_GONE;
        if (value.equals("empty")) return EMPTY;
        if (value.equals("error_status")) return ERROR_STATUS;
        if (value.equals("not_json")) return NOT_JSON;
        if (value.equals("relay_restarted")) return RELAY_RESTARTED;
        if (value.equals("relay_shutdown")) return RELAY_SHUTDOWN;
        if (value.equals("slow_client")) return SLOW_CLIENT;
        if (value.equals("truncated")) return TRUNCATED;
        if (value.equals("upstream_error")) return UPSTREAM_ERROR;
        if (value.equals("upstream_reset")) return UPSTREAM_RESET;
        if (value.equals("upstream_timeout")) return UPSTREAM_TIMEOUT;
        if (value.equals("upstream_unreachable")) return UPSTREAM_UNREACHABLE;
        throw new IOException("Cannot deserialize Reason");
    }
}
