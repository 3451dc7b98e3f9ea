"""Every secret that a configuration holds, for keeping them out of texts."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr


def secrets_of(settings: object) -> frozenset[str]:
    """The secrets in clear; of an address that is one, the password."""
    return frozenset(_within(settings))


def _within(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield from _of_text(value.get_secret_value())
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _within(getattr(value, name))
    elif isinstance(value, dict):
        for item in value.values():
            yield from _within(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _within(item)


def _of_text(text: str) -> Iterator[str]:
    if "://" not in text:
        yield text
    elif password := urlsplit(text).password:
        yield password
