"""Completes the values of options in a shell, where that is cheap.

Whatever goes wrong, nothing is offered: a message in the middle of somebody's command line would help nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import wraps
from itertools import islice
from typing import Any, Final

import typer

MOST: Final = 100
"""Values that are offered at once, at most."""

TASK_STATES: Final = ("pending", "overdue", "ended", "all", "submitted", "running", "succeeded", "failed", "abandoned")
"""What ``relay tasks --state`` takes."""
CHAT_STATES: Final = ("all", "open", "ended", "completed", "failed", "cancelled")
"""What ``relay chats --state`` takes."""

OUTPUT_STATES: Final = ("all", "waiting", "archived", "lost")
"""What ``relay outputs list --state`` takes."""

TASK_SORTS: Final = ("newest", "duration")
CHAT_SORTS: Final = ("newest", "duration", "tokens", "first_token")
"""What ``--sort`` of both takes."""

Offer = tuple[str, str]
"""A value, and what it is in a few words."""


def _quiet(source: Callable[[dict[str, Any]], Iterable[Offer]]) -> Callable[[typer.Context, str], list[Offer]]:
    """A source of values, which is given what was typed so far, as typer asks for it."""

    @wraps(source)
    def offered(ctx: typer.Context, incomplete: str) -> list[Offer]:
        found: list[Offer] = []
        with suppress(Exception, SystemExit):
            found += islice((offer for offer in source(ctx.params) if offer[0].startswith(incomplete)), MOST)
        return found

    offered.__annotations__ = {"ctx": typer.Context, "incomplete": str, "return": list[Offer]}
    del offered.__wrapped__  # typer reads the parameters off it
    return offered


@_quiet
def topics(_: dict[str, Any]) -> Iterable[Offer]:
    from relay.core.event import TOPICS

    return ((topic, "") for topic in TOPICS)


@_quiet
def event_types(_: dict[str, Any]) -> Iterable[Offer]:
    from relay.contract.asyncapi import SUMMARIES

    return SUMMARIES.items()


task_states = _quiet(lambda _: ((state, "") for state in TASK_STATES))
"""The states of tasks, and the words for several of them."""

output_states = _quiet(lambda _: ((state, "") for state in OUTPUT_STATES))
"""The states of outputs."""

chat_states = _quiet(lambda _: ((state, "") for state in CHAT_STATES))
"""The states of chats, and the words for several of them."""


@_quiet
def task_sorts(_: dict[str, Any]) -> Iterable[Offer]:
    """The orders of tasks."""
    return ((sort, "") for sort in TASK_SORTS)


@_quiet
def chat_sorts(_: dict[str, Any]) -> Iterable[Offer]:
    """The orders of chats."""
    return ((sort, "") for sort in CHAT_SORTS)


@_quiet
def schema_names(_: dict[str, Any]) -> Iterable[Offer]:
    from relay.contract import schemas

    return ((name, document["$id"]) for name, document in schemas().items())


@_quiet
def sink_labels(typed: dict[str, Any]) -> Iterable[Offer]:
    from relay.cli import configured

    return ((sink.label, sink.type) for sink in configured.load(typed.get("config")).sinks)


@_quiet
def dead_letters(typed: dict[str, Any]) -> Iterable[Offer]:
    """The dead letters that a running relay holds."""
    return ((letter["id"], letter["reason"]) for letter in _relay(typed).dead_letters())


@_quiet
def subjects(typed: dict[str, Any]) -> Iterable[Offer]:
    """The newest tasks and chats of a running relay."""
    relay = _relay(typed)
    yield from ((task["task_id"], task["state"]) for task in next(relay.tasks({}))["tasks"])
    yield from ((chat["chat_id"], chat["state"]) for chat in next(relay.chats({}))["chats"])


def _relay(typed: dict[str, Any]) -> Any:
    from relay.cli.connection import connect

    return connect(*(typed.get(name) for name in ("config", "url", "token", "token_file")))
