"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from relay.cli import completion

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        envvar="RELAY_CONFIG",
        show_default="./relay.yaml if there, else built-in defaults",
        help="The configuration file.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]
Url = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", show_default="as configured, else http://127.0.0.1:8080", help="The relay's address."
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        envvar="RELAY_API_TOKEN",
        show_envvar=True,
        help="A token of server.api_tokens. Other users of this machine can see it: prefer --token-file.",
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", metavar="FILE", help="A file that holds the token."),
]

Topic = Annotated[
    str | None,
    typer.Option(
        "--topic",
        metavar="TOPIC",
        autocompletion=completion.topics,
        help="Only events of this topic: tasks, chat, chat-chunks, outputs, dead-letters.",
    ),
]
Type = Annotated[
    str | None,
    typer.Option(
        "--type",
        metavar="TYPE",
        autocompletion=completion.event_types,
        help="Only events of this type, like relay.task.failed.",
    ),
]
Subject = Annotated[
    str | None,
    typer.Option("--subject", metavar="ID", help="Only events about this task or chat."),
]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Only from then on: 2026-01-31T09:00:00Z, or how long ago, like 2h."),
]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="Only up to then: 2026-01-31T09:00:00Z, or how long ago, like 2h."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


def given(**values: str | None) -> dict[str, str]:
    """The parameters of a request: those options that were given."""
    return {name: value for name, value in values.items() if value is not None}


def check_word(word: str, known: Sequence[str], option: str) -> None:
    """Raises ``typer.BadParameter`` for a word that an option does not take, with the nearest of those that it does."""
    if word not in known:
        from relay.settings.errors import nearest

        raise typer.BadParameter(f"{word!r} is not one of them; {nearest(word, known)}", param_hint=f"'{option}'")


def check_filters(topic: str | None, kind: str | None, topic_option: str = "--topic") -> None:
    """Raises ``typer.BadParameter`` for a topic or a type of event that there is not: nothing would ever match it."""
    if topic is not None:
        from relay.core.event import TOPICS

        check_word(topic, TOPICS, topic_option)
    if kind is not None:
        from relay.core.event import TYPES

        check_word(kind, tuple(TYPES), "--type")


def seconds(text: str) -> float:
    """Parses a duration as the configuration writes it. Raises ``typer.BadParameter``."""
    from relay.core.units import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
