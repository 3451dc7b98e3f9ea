"""What a checkpoint hash on Redis holds besides the offset: the places of earlier journals, and what was handed over.

It changes when the journal or the name of a relay does, so apart from the script that publishes: each change is one
compare-and-set (``places.lua``) that writes nothing unless the hashes are as they were read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import orjson

from relay.core.publishing.lineage import succession
from relay.core.sink import Checkpoint, Inheritance, SinkUnavailable
from relay.sinks.redis.wire import Wire

_EXCHANGE = files("relay.sinks.redis").joinpath("places.lua").read_text(encoding="utf-8")
_FIELDS = ("journal_id", "offset", "dead", "absorbed", "lineage", "handed_over")

Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A checkpoint hash and the claim that this process has on it."""

    key: str
    instance: str
    epoch: str

    def _owned(self) -> dict[str, str]:
        return {"instance": self.instance, "epoch": self.epoch}


async def read(wire: Wire, key: str) -> Checkpoint | None:
    """The checkpoint in a hash, all of it. Raises ``SinkUnavailable``."""
    return _checkpoint_of(await _fields(wire, key), wire)


async def remember(wire: Wire, claimed: Claimed, checkpoint: Checkpoint) -> None:
    """Notes the places of earlier journals: before the first batch of another one, which overwrites the last of them.

    Raises ``SinkUnavailable``.
    """
    written = {"lineage": _lineage(checkpoint)}
    await _exchange(wire, [(claimed.key, claimed._owned(), written)])


async def take_over(wire: Wire, claimed: Claimed, former: str, inheritance: Inheritance) -> Checkpoint | None:
    """See ``Renamable.take_over``; ``former`` is the hash under the former name. Raises ``SinkUnavailable``."""
    found = await _fields(wire, former)
    held = _checkpoint_of(found, wire)
    place = held.of(inheritance.journal_id) if held is not None else None
    if held is None or place is None:
        return None
    own = await read(wire, claimed.key)
    written = succession(held, place, inheritance, own)
    moved = {} if written.former is None else _written(written.former)
    await _exchange(
        wire, [(claimed.key, claimed._owned(), _written(written.heir)), (former, {**found} if moved else {}, moved)]
    )
    return written.heir


async def _fields(wire: Wire, key: str) -> Fields:
    values = await wire.call("HMGET", key, *_FIELDS)
    return {field: (value or b"").decode() for field, value in zip(_FIELDS, values, strict=True)}


def _checkpoint_of(found: Fields, wire: Wire) -> Checkpoint | None:
    if not found["journal_id"] or not found["offset"]:
        return None
    try:
        counts = int(found["dead"] or 0), int(found["absorbed"] or 0)
        kept = orjson.loads(found["lineage"] or "{}")
        handed_over = found["handed_over"] == found["offset"]  # it is over with the next batch
        plain = Checkpoint(found["journal_id"], int(found["offset"]), *counts)
        return plain.with_lineage({**kept, "handed_over": handed_over})
    except (TypeError, ValueError) as error:
        raise SinkUnavailable(
            "checkpoint_unreadable",
            f"A checkpoint on Redis {wire.node} does not belong to this relay.",
            hint="Choose another prefix if another application uses this one.",
        ) from error


def _lineage(checkpoint: Checkpoint) -> str:
    return orjson.dumps({"earlier": checkpoint.lineage().get("earlier", [])}).decode() if checkpoint.earlier else ""


def _written(checkpoint: Checkpoint) -> dict[str, str]:
    return {
        "journal_id": checkpoint.journal_id,
        "offset": str(checkpoint.offset),
        "dead": str(checkpoint.dead),
        "absorbed": str(checkpoint.absorbed),
        "lineage": _lineage(checkpoint),
        "handed_over": str(checkpoint.offset) if checkpoint.handed_over else "",
    }


async def _exchange(wire: Wire, changes: Sequence[tuple[str, Fields, Fields]]) -> None:
    keys = [key for key, _, _ in changes]
    arguments = [orjson.dumps(fields) for _, expected, written in changes for fields in (expected, written)]
    sha = await wire.call("SCRIPT", "LOAD", _EXCHANGE)  # and not EVAL, for which the user may lack the right
    if await wire.call("EVALSHA", sha, len(keys), *keys, *arguments) != 1:
        message = f"A checkpoint on Redis {wire.node} was moved meanwhile."
        raise SinkUnavailable("checkpoint_moved", message, hint="relay reads it again and continues.")


async def glance(wire: Wire, key: str) -> Checkpoint | None:
    """The checkpoint under a key, read on a connection that is then closed."""
    try:
        return await read(wire, key)
    finally:
        wire.abort()
