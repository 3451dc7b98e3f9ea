package events;

import com.fasterxml.jackson.annotation.*;

/**
 * The function that the model calls.
 */
public class Function {
    private String arguments;
    private String name;

    /**
     * The joined pieces: JSON as text, if it is valid.
     */
    @JsonProperty("arguments")
    public String getArguments() { return arguments; }
    @JsonProperty("arguments")
    public void setArguments(String value) { this.arguments = value; }

    /**
     * Its name.
     */
    @JsonProperty("name")
    public String getName() { return name; }
    @JsonProperty("name")
    public void setName(String value) { this.name = value; }
}
