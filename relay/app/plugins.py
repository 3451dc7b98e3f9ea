"""Finds the plug-ins by the names of their files."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from types import ModuleType

from relay import sinks as sink_package
from relay.core.event import TOPICS
from relay.core.sink import Identity, Sink, SinkConfig


def sink_plugins() -> dict[str, ModuleType]:
    """The sink plug-ins by type: each file or package in ``relay/sinks`` that does not start with an underscore."""
    found = (module.name for module in pkgutil.iter_modules(sink_package.__path__))
    return {name: importlib.import_module(f"relay.sinks.{name}") for name in found if not name.startswith("_")}


def sink_configs() -> dict[str, type[SinkConfig]]:
    """The configuration model of each sink type, as ``relay.settings.load`` takes it."""
    return {name: module.Config for name, module in sink_plugins().items()}


def connect(config: SinkConfig, identity: Identity, topics: Sequence[str] = TOPICS) -> Sink:
    """The sink that ``config`` describes, for events of these topics; nothing is contacted before ``open``."""
    sink: Sink = sink_plugins()[config.type].connect(config, identity, topics)
    return sink
