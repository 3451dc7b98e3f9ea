"""Sink plug-ins: one file each; the file name is the word under ``sinks: - type:`` in the configuration."""
