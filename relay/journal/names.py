"""The names under which a journal has been published, kept in the journal so that relay notices a change.

A sink keeps its checkpoint under the relay's identity, and some under the sink's label, too. Where one of them changes,
the journal takes a new id, which shares its past with the one before (``relay.core.publishing.lineage``): the file may
be a clone of one that is still in use, and both go on from here.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import orjson

from relay.core.publishing.lineage import Names
from relay.journal.store import Store
from relay.journal.volume import damaged, missing


def open_under(names: Names | None, path: Path, *, must_exist: bool) -> tuple[Store, Collection[str]]:
    """Opens or creates a journal, and answers the sinks that it did not have at its last start. ``None``: as it is.

    Raises what ``Store`` raises, and ``JournalBroken`` where it must exist and does not.
    """
    if must_exist and not path.exists():
        raise missing(path)
    store = Store(path)
    try:
        return store, take_names(store, names) if names is not None else ()
    except BaseException:
        store.close()
        raise


def take_names(store: Store, names: Names) -> frozenset[str]:
    """Goes on under these names; answers the sinks that the journal did not have at its last start.

    Raises ``JournalUnavailable`` where the disk is too full to note them, ``JournalBroken`` where they are damaged.
    """
    kept = store.meta("names")
    if kept is None:
        store.keep_meta({"names": _kept(names, names)})
        return frozenset(names.sinks) - store.checkpoints().keys()
    try:
        found = orjson.loads(kept)
        before = Names(found["identity"], found["sinks"])
        new = frozenset(names.sinks) - set(found["configured"])
    except (LookupError, TypeError, ValueError) as error:
        raise damaged(store.path, ["the names that it is published under cannot be read"]) from error
    if names.changed_since(before):
        renamed = dict(names.relabelled(before))
        at = store.last_offset
        store.fork(at, at, names=before, renamed=renamed, meta={"names": _kept(names, names)})
        return new - set(renamed.values())
    now = _kept(names, Names(names.identity, {**before.sinks, **names.sinks}))
    if now != kept:
        store.keep_meta({"names": now})
    return new


def _kept(configured: Names, all_of_them: Names) -> str:
    """``sinks`` are those of before, too, as long as nothing has been renamed: one that is away may return."""
    return orjson.dumps(
        {
            "identity": configured.identity,
            "sinks": dict(all_of_them.sinks),
            "configured": list(configured.sinks),
        }
    ).decode()
