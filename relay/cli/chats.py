"""``relay chats``: lists open and ended chats, over the relay's consumer API."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from relay.cli import completion, options
from relay.cli.client import gathered
from relay.cli.connection import connect
from relay.cli.format import age, duration, searched
from relay.cli.outcome import complain
from relay.cli.output import write_json
from relay.cli.table import write_table

_COLUMNS: Final = ("CHAT", "API", "MODEL", "CLIENT", "STATE", "AGE", "DURATION", "TOKENS", "NOTE")
_SPARE: Final = ("API", "CLIENT", "TOKENS", "DURATION", "MODEL", "NOTE", "AGE")


def chats(
    state: Annotated[
        str,
        typer.Option(
            metavar="STATE",
            autocompletion=completion.chat_states,
            help="all, open, ended; or completed, failed, cancelled.",
        ),
    ] = "all",
    api: Annotated[str | None, typer.Option(metavar="API", help="Only chats of this API, such as `messages`.")] = None,
    model: Annotated[str | None, typer.Option(metavar="MODEL", help="Only chats with this model.")] = None,
    client: Annotated[str | None, typer.Option(metavar="NAME", help="Only chats of this client.")] = None,
    since: options.Since = None,
    until: options.Until = None,
    sort: Annotated[
        str,
        typer.Option(
            metavar="ORDER",
            autocompletion=completion.chat_sorts,
            help="newest; or duration, tokens, first_token, the highest first.",
        ),
    ] = "newest",
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="The maximum number of chats.")] = 1000,
    config: options.Config = None,
    url: options.Url = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """List open and ended chats, newest first or sorted.

    `relay show` has all about one of them.
    """
    options.check_word(state, completion.CHAT_STATES, "--state")
    options.check_word(sort, completion.CHAT_SORTS, "--sort")
    if api is not None:
        from relay.apis import apis

        options.check_word(api, tuple(apis()), "--api")
    wanted = options.given(state=state, api=api, model=model, client=client, since=since, until=until, sort=sort)
    found, page = gathered(connect(config, url, token, token_file).chats(wanted), "chats", limit)
    if json:
        write_json({"chats": found, "searched_since": page["searched_since"]})
        return
    if found:
        write_table(_COLUMNS, [row(chat) for chat in found], _SPARE, prose=True)
    complain(f"{len(found)} shown{searched(page)}.")


def row(chat: dict[str, Any]) -> tuple[Any, ...]:
    """A chat as the columns of the table have it; of one that is open, the duration up to now is its age."""
    named = [chat[name] for name in ("chat_id", "api", "model", "client", "state")]
    lasted = None if chat["duration_ms"] is None else duration(chat["duration_ms"] / 1000)
    tokens = (chat["tokens"] or {}).get("total")
    return (*named, age(chat["started_at"]), lasted, tokens, chat["reason"])
