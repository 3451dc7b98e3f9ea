"""Finds changes of an event's schema that break consumers, by comparing it with a released one.

Whom a change can break:

- **Readers of new events**, whose code was written against the released schema. They must find every key that they
  read, with a value of a kind that they know. So a schema may promise more and never less: it breaks them to
  take a field away (or rename it, which is the same), to let a required one be absent, to allow a further type (null
  included) or enum value, or a wider range or pattern, and to change what a ``format`` says.
- **Readers of old events**, which stay on the topics for as long as these retain them. Code that is written against the
  new schema meets events of the released one under the same ``dataschema``. So it breaks them to require a field that
  was not there, and to narrow what a field can hold: fewer types or enum values, a smaller range.

A new field that may be absent breaks nobody, since objects are open: consumers ignore what they do not know. Nor does a
changed title or description. Whatever else differs is taken as breaking: better a false alarm than a consumer that
stops. A schema that has to break gets another number in its ``$id``, and a baseline of its own.

The relay's ``data`` has every field always, so a model lists a new one under ``required``. That breaks only readers of
old events who do not expect the key to be missing. To allow it is a decision, made by listing its path in ``added``.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Any, Final

Schema = dict[str, Any]

_TEXTS: Final = frozenset({"title", "description", "$schema", "$id", "$defs", "examples", "default"})
_LISTS: Final = frozenset({"properties", "required", "anyOf", "type", "enum", "items"})


def broken_by(released: Schema, current: Schema, added: Set[str] = frozenset()) -> list[str]:
    """What in ``current`` breaks a consumer, each with its JSON path from ``data``; empty: nothing.

    ``added``: the paths of new fields that are required on purpose. Both schemas as ``relay schema`` shows them.
    Raises ``KeyError`` for a ``$ref`` that leads nowhere.
    """
    return list(_Comparison(released, current, added).at("data", released, current))


class _Comparison:
    def __init__(self, released: Schema, current: Schema, added: Set[str]) -> None:
        self._released, self._current, self._added = released, current, added

    def at(self, path: str, old: Schema, new: Schema) -> Iterator[str]:
        """What breaks at a path and below it."""
        old, new = _pointed_to(old, self._released), _pointed_to(new, self._current)
        yield from self._kinds(path, old, new)
        yield from self._fields(path, old, new)
        if "items" in old and "items" in new:
            yield from self.at(f"{path}[]", old["items"], new["items"])
        for key in sorted((old.keys() | new.keys()) - _TEXTS - _LISTS):
            if old.get(key) != new.get(key):
                yield f"{path}: {key} was {old.get(key)!r} and is {new.get(key)!r}"
        if ("items" in old) != ("items" in new):
            yield f"{path}: items are described on one side only"

    def _kinds(self, path: str, old: Schema, new: Schema) -> Iterator[str]:
        for key in ("type", "enum"):
            before, after = _listed(old.get(key)), _listed(new.get(key))
            yield from (f"{path}: {key} has {one!r} no more" for one in before if one not in after)
            yield from (f"{path}: {key} has {one!r} again" for one in after if one not in before)
        could, can = self._branches(old, self._released), self._branches(new, self._current)
        yield from (f"{path}: can be {kind} no more" for kind in could if kind not in can)
        yield from (f"{path}: can be {kind} again" for kind in can if kind not in could)
        for kind in could:
            if kind in can:
                yield from self.at(path, could[kind], can[kind])

    def _branches(self, schema: Schema, root: Schema) -> dict[str, Schema]:
        """The alternatives by their type: the models make none with two of one type."""
        branches = [_pointed_to(branch, root) for branch in schema.get("anyOf", [])]
        found = {str(branch.get("type", "anything")): branch for branch in branches}
        if len(found) != len(branches):
            raise ValueError("two alternatives have the same type: this cannot be compared")
        return found

    def _fields(self, path: str, old: Schema, new: Schema) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        needed_before, needed = set(old.get("required", [])), set(new.get("required", []))
        for name in before:
            if name not in after:
                yield f"{path}.{name}: is gone"
                continue
            if name in needed_before - needed:
                yield f"{path}.{name}: may be absent"
            if name in needed - needed_before:
                yield f"{path}.{name}: is required, and was not"
            yield from self.at(f"{path}.{name}", before[name], after[name])
        for name in after:
            if name not in before and name in needed and f"{path}.{name}" not in self._added:
                yield f"{path}.{name}: is new and required"


def _listed(value: object) -> list[object]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def _pointed_to(schema: Schema, root: Schema) -> Schema:
    """The schema itself, or what its reference points to; what stands beside a ``$ref`` counts, too."""
    if "$ref" not in schema:
        return schema
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    return _pointed_to(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root) | beside
