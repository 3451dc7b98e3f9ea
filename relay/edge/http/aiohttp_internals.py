"""The internals of aiohttp that relay uses: every private name, and the C parser. Checked at start.

A release of aiohttp that moves one of them would break the edge in ways that are hard to read, so the dependency is
bounded to the minor version that was tested, and these names are looked up before the first listener opens.
"""

from __future__ import annotations

from typing import Any, Final

from aiohttp import http_parser, web
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from relay.core.errors import RelayError

NAMES: Final[tuple[tuple[Any, tuple[str, ...]], ...]] = (
    (web.Application, ("_handle", "_make_request")),
    (web.BaseRequest, ("_cancel",)),
    (web.StreamResponse, ("_keep_alive",)),
    (StreamReader, ("_buffer", "total_bytes")),
    (http_parser.HttpRequestParser, ("message_consumed",)),
    (
        RequestHandler,
        (
            *("_current_request", "_drain_helper", "_force_close", "_keepalive_timeout", "_loop"),
            *("_max_msg_queue_size", "_messages", "_msg_queue_resume_size", "_next_keepalive_close_time", "_parser"),
            *("_pause_reading_for_buffer", "_process_keepalive", "_reading_paused", "_request_count"),
            *("_task_handler", "_waiter", "log_exception"),
        ),
    ),
)
"""Names of classes; ``_ErrInfo`` is imported, and would fail there by name. Of servers only instances have theirs."""

OF_SERVERS: Final = ("_connections", "_loop")


def require_internals(server: web.Server) -> None:
    """Raises ``RelayError`` unless aiohttp has every name that relay rests on, and parses with llhttp.

    Most of its request smuggling holes were in the parser written in Python, which it falls back to without a word.
    """
    lacking = [f"{owner.__name__}.{name}" for owner, names in NAMES for name in names if not hasattr(owner, name)]
    lacking += [f"Server.{name}" for name in OF_SERVERS if not hasattr(server, name)]
    if lacking:
        raise RelayError(
            "aiohttp_unsupported",
            f"This aiohttp lacks {', '.join(lacking)}, which relay rests on.",
            hint="Install a version that relay was tested with: aiohttp>=3.14.3,<3.15.",
        )
    if http_parser.HttpRequestParser is not getattr(http_parser, "HttpRequestParserC", None):
        raise RelayError(
            "http_parser_missing",
            "aiohttp runs without its HTTP parser in C, and relay does not use the one in Python for untrusted input.",
            hint="Install an aiohttp wheel for this platform, and unset AIOHTTP_NO_EXTENSIONS.",
        )
