"""Sink plug-ins: a file or a package each; its name is the word under ``sinks: - type:`` in the configuration."""
