"""Which relay a command calls, and with which token."""

from __future__ import annotations

from pathlib import Path

import typer

from relay.cli import configured
from relay.cli.client import Client
from relay.core.errors import RelayError

DEFAULT_URL = "http://127.0.0.1:8080"
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound


def connect(config: Path | None, url: str | None, token: str | None, token_file: Path | None) -> Client:
    """The client that the options ask for.

    What is not given comes from the configuration; its token goes only to the address that it names as well.
    Raises ``RelayError`` when the token cannot be read, ``typer.BadParameter`` for a bad address.
    """
    if token_file is not None:
        token = read_token(token_file)
    if url is None:
        url, known = configured_address(config)
        token = token or known
    try:
        return Client(url, _checked(token))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="'--url'") from None


def configured_address(config: Path | None) -> tuple[str, str | None]:
    """The main listener's URL, and a token that it takes, if there are any."""
    if not configured.is_configured(config):
        return DEFAULT_URL, None
    server = configured.load(config).server
    if server.port == 0:
        raise RelayError("no_address", "server.port is 0, so only the relay's log shows the port.", hint="Give --url.")
    tokens = [token.get_secret_value() for token in server.api_tokens]
    return f"http://{reachable(server.host)}:{server.port}", next(iter(tokens), None)


def reachable(host: str) -> str:
    """A listener's host as it is reached from this machine, in the form that a URL takes."""
    host = _ANY_ADDRESS.get(host, host).strip("[]")
    return f"[{host}]" if ":" in host else host


def read_token(path: Path) -> str:
    """The token that a file holds, without the line break behind it."""
    try:
        token = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise RelayError("bad_token", f"{path} is not text.", hint="It must hold one token.") from None
    if not token:
        raise RelayError("bad_token", f"{path} is empty.", hint="It must hold one token.")
    return token


def _checked(token: str | None) -> str | None:
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token and token):
        raise RelayError(
            "bad_token", "The token is not one line of printable ASCII.", hint="Look for stray characters."
        )
    return token
