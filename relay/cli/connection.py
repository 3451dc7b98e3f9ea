"""Which relay a command calls, and with which token."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import typer

from relay.cli import configured
from relay.cli.client import Client
from relay.cli.exchange import Address, address_of
from relay.core.errors import RelayError
from relay.core.network import UNIX, why

DEFAULT_URL = "http://127.0.0.1:8080"


def connect(config: Path | None, url: str | None, token: str | None, token_file: Path | None) -> Client:
    """The client that the options ask for.

    What is not given comes from the configuration; its token goes only to the address that it names as well.
    Raises ``RelayError`` when the token cannot be read, ``typer.BadParameter`` for a bad address.
    """
    if token_file is not None:
        token = read_token(token_file)
    if url is None:
        address, known = configured_address(config)
        return Client(address, _checked(token or known))
    try:
        return Client(url, _checked(token))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="'--url'") from None


def configured_address(config: Path | None) -> tuple[Address, str | None]:
    """The main listener's address, and a token that it takes, if there are any. Raises ``RelayError``."""
    if not configured.is_configured(config):
        return Address(urlsplit(DEFAULT_URL)), None
    server = configured.load(config).server
    if server.port == 0 and not server.host.startswith(UNIX):
        raise RelayError("no_address", "server.port is 0, so only the relay's log shows the port.", hint="Give --url.")
    tokens = [token.get_secret_value() for token in server.api_tokens]
    try:
        return address_of(server), next(iter(tokens), None)
    except OSError as error:
        raise RelayError(
            "bad_certificates",
            f"server.tls cannot be read: {why(error)}.",
            hint="Run this as the user that relay runs as, or pass an address with --url.",
        ) from None


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
