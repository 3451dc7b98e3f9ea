"""Finds the plug-ins by the names of their files."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from relay import sinks as sink_package
from relay.core.sink import SinkConfig


def sink_plugins() -> dict[str, ModuleType]:
    """The sink plug-ins by type: each file or package in ``relay/sinks`` that does not start with an underscore."""
    found = (module.name for module in pkgutil.iter_modules(sink_package.__path__))
    return {name: importlib.import_module(f"relay.sinks.{name}") for name in found if not name.startswith("_")}


def sink_configs() -> dict[str, type[SinkConfig]]:
    """The configuration model of each sink type, as ``relay.settings.load`` takes it."""
    return {name: module.Config for name, module in sink_plugins().items()}
