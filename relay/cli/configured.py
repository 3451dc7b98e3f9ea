"""Finds the configuration and reads it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from relay.settings import SecretFiles, Settings

DEFAULT_FILE: Final = Path("relay.yaml")
_OF_THE_COMMAND: Final = frozenset({"RELAY_CONFIG", "RELAY_API_TOKEN"})
"""Variables that are options of the command line, not settings."""


def find(config: Path | None) -> Path | None:
    """The file to read: as given, else ``./relay.yaml`` if it is there, else none."""
    if config is not None:
        return config
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def load(config: Path | None, files: SecretFiles | None = None) -> Settings:
    """The settings in the file that ``find`` finds and in the environment. Raises ``ConfigError``.

    ``files``: see ``relay.settings.load``.
    """
    from relay.app.plugins import sink_configs
    from relay.settings import load as load_settings

    return load_settings(find(config), settings_in(os.environ), sink_configs(), files)


def is_configured(config: Path | None) -> bool:
    """Whether anything differs from the defaults, so that it is worth loading."""
    return find(config) is not None or any(name.startswith("RELAY_") for name in settings_in(os.environ))


def settings_in(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without the command line's own variables."""
    return {name: value for name, value in environ.items() if name not in _OF_THE_COMMAND}
