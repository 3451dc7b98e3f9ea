"""From the journal to the sinks: one publisher per sink, its claims among replicas, and replays."""
