"""The same done to several things that a person names: what came of each, and of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import typer

from relay.cli.client import Unreachable
from relay.cli.outcome import FAILED, complain
from relay.cli.output import write_json, write_line
from relay.core.errors import RelayError


def each(names: Iterable[str], action: Callable[[str], dict[str, Any]], json: bool, *, key: str = "id") -> None:
    """Does it to each and says what came of it; one that fails does not keep the others from their turn.

    ``action`` answers a result with its ``status``; in JSON the name stands in it as ``key``. Raises ``Unreachable``,
    and ``typer.Exit`` if any has failed.
    """
    results = []
    for name in names:
        try:
            result = {key: name, **action(name)}
        except Unreachable:
            # The relay is away: each of the others would wait out the same time-out.
            raise
        except RelayError as error:
            result = {key: name, "status": "failed", "code": error.code, "detail": error.message, "hint": error.hint}
        results.append(result)
        if not json:
            _say(name, result)
    if json:
        write_json({"results": results})
    if any(result["status"] == "failed" for result in results):
        raise typer.Exit(FAILED)


def _say(name: str, result: dict[str, Any]) -> None:
    if result["status"] == "failed":
        complain(f"{name}: {result['detail']}\n{' ' * len(name)}  {result['hint']}".rstrip())
    else:
        event = f", event {result['event_id']}" if "event_id" in result else ""
        write_line((f"{name}: {result['status']}{event}", ""))
