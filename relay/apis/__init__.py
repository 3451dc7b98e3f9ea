"""The APIs of conversations: one plug-in each, found by its file. Pure: bytes in, values out."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from relay.core.chat.api import Api


@cache
def apis() -> Mapping[str, Api]:
    """The APIs by their names: each file here that does not start with an underscore."""
    found = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    return MappingProxyType({name: importlib.import_module(f"{__name__}.{name}").API for name in found})
