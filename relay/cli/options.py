"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="RELAY_CONFIG",
        show_default="./relay.yaml if there, else built-in defaults",
        help="The configuration file.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
Url = Annotated[
    str | None,
    typer.Option("--url", show_default="as configured, else http://127.0.0.1:8080", help="The relay's address."),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="RELAY_API_TOKEN",
        show_envvar=True,
        show_default=False,
        help="A token of server.api_tokens. Other users of this machine can see it here: prefer --token-file.",
    ),
]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", show_default=False, help="A file that holds the token.")
]
