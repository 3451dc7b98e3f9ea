"""Reads the ``.sql`` files in this package: ``-- name: x`` starts statement ``x``."""

from __future__ import annotations

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def text(filename: str) -> str:
    """The text of a file in this package; ``projections/x.sql`` for one of a projection."""
    return files("relay.journal").joinpath(filename).read_text(encoding="utf-8")


def statements(filename: str) -> dict[str, str]:
    """The named statements of a file, comments kept (SQLite skips them)."""
    parts = _NAME.split(text(filename))
    return {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def rows(count: int, columns: int) -> str:
    """``(?,?),(?,?)``: the placeholders of ``count`` rows, for one statement that is one step.

    ``executemany`` gives up and takes back the interpreter lock once per row; beside a busy event loop each of
    those can wait for a whole switch interval.
    """
    return ",".join(["(" + ",".join("?" * columns) + ")"] * count)


def beginning_with(prefix: str) -> dict[str, str]:
    """The bounds of the texts that begin so: ``>= :prefix AND < :beyond`` is a range of an index, unlike ``LIKE``."""
    return {"prefix": prefix, "beyond": prefix + "\U0010ffff"}
