package events;

import com.fasterxml.jackson.annotation.*;

/**
 * One tool call of the model.
 */
public class ToolCall {
    private Function function;
    private String id;
    private long index;
    private String type;

    @JsonProperty("function")
    public Function getFunction() { return function; }
    @JsonProperty("function")
    public void setFunction(Function value) { this.function = value; }

    /**
     * The upstream's id of the call.
     */
    @JsonProperty("id")
    public String getId() { return id; }
    @JsonProperty("id")
    public void setId(String value) { this.id = value; }

    /**
     * Its position among the choice's calls, as the upstream numbers them.
     */
    @JsonProperty("index")
    public long getIndex() { return index; }
    @JsonProperty("index")
    public void setIndex(long value) { this.index = value; }

    /**
     * `function`.
     */
    @JsonProperty("type")
    public String getType() { return type; }
    @JsonProperty("type")
    public void setType(String value) { this.type = value; }
}
