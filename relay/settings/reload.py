"""Which changes of the configuration a running relay applies, and which need a restart. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from relay.settings.model import Settings

M = TypeVar("M", bound=BaseModel)

RELOADED = frozenset(
    {
        "log.level",
        "server.api_tokens",
        "webhooks.novita.tokens",
        "webhooks.novita.signing_secrets",
        "webhooks.novita.signature_tolerance",
        "webhooks.novita.allow_from",
        "upstream.api_key",
        "upstream.proxy",
        "proxy.clients",
        "dedup.shared_index",
        "archive.options",
        "archive.secrets",
    }
)
"""Keys whose change takes effect without a restart: who may do what, with which secrets, and how much is logged."""


class Reloaded(NamedTuple):
    """``settings`` are in force now; ``changed`` names what was taken over, ``waiting`` what needs a restart."""

    settings: Settings
    changed: tuple[str, ...]
    waiting: tuple[str, ...]


def take_over(current: Settings, written: Settings) -> Reloaded:
    """The current settings with what can be taken over of those that were written since."""
    differing = tuple(_differing(current, written, ""))
    reloaded = (RELOADED | _reloaded_of_sinks(current, differing)) - set(_held(current, written))
    changed = tuple(key for key in differing if key in reloaded)
    settings = current
    for key in changed:
        settings = _with(settings, key.split("."), written)
    if settings is not current:
        settings.note_secret_files(map(str, written.secret_files))
    return Reloaded(settings, changed, tuple(key for key in differing if key not in reloaded))


def _held(current: Settings, written: Settings) -> Iterator[str]:
    """Keys that wait although they could be taken over: what they go with waits, and one without the other would be
    a configuration that nobody wrote. A new key would go to the old address; a door would stand open; replicas that
    share another index know nothing of what is claimed in this one."""
    moved = current.upstream.base_url != written.upstream.base_url
    if moved:
        yield from ("upstream.api_key", "upstream.proxy")
    key = current.upstream.api_key if moved else written.upstream.api_key
    if key is not None and not written.proxy.clients:
        yield "proxy.clients"
    if _without_login(current.dedup.shared_index) != _without_login(written.dedup.shared_index):
        yield "dedup.shared_index"
    if current.server.is_public and not written.server.api_tokens:
        yield "server.api_tokens"


def _without_login(url: SecretStr | None) -> str | None:
    if url is None:
        return None
    parts = urlsplit(url.get_secret_value())
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _reloaded_of_sinks(current: Settings, differing: Sequence[str]) -> frozenset[str]:
    """What the sinks take over themselves; nothing of one that changes otherwise, too: its new password may be that of
    another server."""
    found: set[str] = set()
    for index, sink in enumerate(current.sinks):
        keys = {key for key in differing if key.startswith(f"sinks.{index}.")}
        if keys <= {f"sinks.{index}.{name}" for name in sink.RELOADED}:
            found |= keys
    return frozenset(found)


def _differing(current: BaseModel, written: BaseModel, prefix: str) -> Iterator[str]:
    for name in type(current).model_fields:
        before, after, key = getattr(current, name), getattr(written, name), prefix + name
        if isinstance(before, BaseModel) and isinstance(after, BaseModel):
            yield from _differing(before, after, f"{key}.")
        elif name == "sinks" and [each.label for each in before] == [each.label for each in after]:
            for index, (sink, other) in enumerate(zip(before, after, strict=True)):
                yield from _differing(sink, other, f"{key}.{index}.")
        elif before != after:
            yield key


def _with(current: M, path: list[str], written: M) -> M:
    name, *rest = path
    value = getattr(written, name)
    if isinstance(value, tuple) and rest:
        index = int(rest[0])
        of_this = tuple(getattr(current, name))
        sink = _with(of_this[index], rest[1:], value[index])
        return current.model_copy(update={name: (*of_this[:index], sink, *of_this[index + 1 :])})
    return current.model_copy(update={name: _with(getattr(current, name), rest, value) if rest else value})
