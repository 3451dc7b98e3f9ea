"""Replacing a function of the running program by its name, for tests that break it. Production code knows none of it.

A place is ``module:Qualified.name``. One that is gone is an error, never a test that breaks nothing.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

Function = Callable[..., Any]


class NoSuchPlace(Exception):
    """A refactoring has moved or renamed what a test takes hold of; name the new place there."""


def find(place: str) -> Function:
    """The function at a place. Raises ``NoSuchPlace``."""
    owner, name = _owner(place)
    found: Function = getattr(owner, name)
    return found


def replace(place: str, with_: Callable[[Function], Function]) -> None:
    """Puts ``with_(the original)`` in its stead. Raises ``NoSuchPlace``."""
    owner, name = _owner(place)
    setattr(owner, name, with_(getattr(owner, name)))


def _owner(place: str) -> tuple[Any, str]:
    module, _, path = place.partition(":")
    *parents, name = path.split(".")
    try:
        owner: Any = importlib.import_module(module)
        for parent in parents:
            owner = getattr(owner, parent)
        found = inspect.getattr_static(owner, name)
    except (ImportError, AttributeError) as error:
        raise NoSuchPlace(f"{place} is gone: {error}") from error
    if not callable(found):
        raise NoSuchPlace(f"{place} is no function any more.")
    return owner, name
