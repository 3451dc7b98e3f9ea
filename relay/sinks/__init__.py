"""Sink plug-ins: a file or a package each; its name is the ``type`` in the configuration."""
