"""What the routes under ``/v1`` share: access, reading parameters, and writing answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final, TypeVar

import orjson
from aiohttp import hdrs, web

from relay.core.errors import RelayError
from relay.edge.http import problems
from relay.edge.http.auth import TokenSet, bearer, token_digest
from relay.edge.http.local_access import why_not_local
from relay.edge.http.problems import ProblemError
from relay.edge.http.server import respond
from relay.edge.http.whole_answers import WholeAnswers
from relay.journal.errors import JournalBroken, JournalUnavailable

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000
"""Entries of one page."""

MAX_OFFSET: Final = (1 << 63) - 1

IDENTITY: Final = "X-Relay-Identity"
"""The header that says which relay answers: behind a balancer each answer may be of another journal."""

D = TypeVar("D")
Route = Callable[[web.Request], Awaitable[web.StreamResponse]]


def peer_of(request: web.Request) -> str:
    """The address at the other end of the connection."""
    return request.remote or ""


class ApiAuth:
    """Who may use ``/v1``: holders of a token; while none is configured, the users of this machine.

    The latter only on a loopback listener, and not through the pages that they have open in a browser. ``identity`` is
    the relay's, for those whom it admits.
    """

    def __init__(self, tokens: TokenSet, *, on_loopback: bool, send_timeout: float = 60.0, identity: str = "") -> None:
        self.tokens = tokens
        """May be exchanged for others while the relay runs."""
        self._answers = WholeAnswers(send_timeout)
        self._on_loopback, self._identity = on_loopback, identity

    def guard(self, route: Route) -> Route:
        """The route behind the check; what it refuses, or fails at, ends as a problem document."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                self._admit(request)
                answer = await route(request)
                answer.headers[IDENTITY] = self._identity
                return await self._answers.written(request, answer)
            except ProblemError as problem:
                return respond(problem.answer)
            except (JournalUnavailable, JournalBroken) as error:
                return respond(problems.answer(problems.journal_code(error)))
            except RelayError as error:
                return respond(problems.answer_to(error))

        return guarded

    def client_of(self, request: web.Request) -> str:
        """Whose an admitted request is: a name for the holder of its token, or the peer's address without tokens."""
        token = bearer(request.headers.get(hdrs.AUTHORIZATION)) if self.tokens else None
        return token_digest(token).hex() if token is not None else peer_of(request)

    def admits(self, request: web.Request) -> bool:
        """Whether the request may pass now: asked again while its answer goes on."""
        try:
            self._admit(request)
        except ProblemError:
            return False
        return True

    def _admit(self, request: web.Request) -> None:
        if self.tokens:
            presented = bearer(request.headers.get(hdrs.AUTHORIZATION))
            if presented is None or not self.tokens.matches(presented):
                raise ProblemError("unauthorized", "This route takes a bearer token from server.api_tokens.")
        elif not self._on_loopback:
            raise ProblemError("unauthorized", "No server.api_tokens are configured, and the relay is not on loopback.")
        elif verdict := why_not_local(request.remote or "", request.headers):
            raise ProblemError(*verdict)


def json_response(document: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(document), headers={hdrs.CONTENT_TYPE: "application/json"})


def whole_number(text: str | None, name: str, *, least: int = 0, most: int, default: int) -> int:
    """What a client wrote as ``name``, from ``least`` to ``most``; the default where it wrote nothing.

    Raises ``ProblemError`` (``bad_request``) for anything else.
    """
    if text is None:
        return default
    if text.isascii() and text.isdigit() and len(text) <= 19 and least <= int(text) <= most:
        return int(text)
    raise ProblemError("bad_request", f"{name} must be a whole number from {least} to {most}.")


def one_of(request: web.Request, name: str, choices: Collection[str], default: D) -> str | D:
    """What a client chose as ``name``; the default where it wrote nothing.

    Raises ``ProblemError`` (``bad_request``) for what is not among the choices.
    """
    chosen = request.query.get(name)
    if chosen is None:
        return default
    if chosen not in choices:
        raise ProblemError("bad_request", f"The parameter {name} must be one of {', '.join(choices)}.")
    return chosen


def is_wanted(request: web.Request, name: str) -> bool:
    """Whether a client asked for ``name``: `true` or `false`. Raises ``ProblemError`` (``bad_request``)."""
    return one_of(request, name, ("true", "false"), "false") == "true"


def several_of(request: web.Request, name: str, choices: Collection[str]) -> Sequence[str] | None:
    """All that a client chose as ``name``, which may be repeated; ``None`` where it wrote nothing.

    Raises ``ProblemError`` (``bad_request``) for what is not among the choices.
    """
    chosen = dict.fromkeys(request.query.getall(name, ()))
    if any(each not in choices for each in chosen):
        raise ProblemError("bad_request", f"The parameter {name} must be one of {', '.join(choices)}.")
    return tuple(chosen) or None


def page_after(request: web.Request) -> int:
    """Behind which place the wanted page begins. Raises ``ProblemError`` (``bad_request``)."""
    return whole_number(request.query.get("after"), "after", most=MAX_OFFSET, default=0)


def page_limit(request: web.Request) -> int:
    """How much the wanted page may hold. Raises ``ProblemError`` (``bad_request``)."""
    return whole_number(request.query.get("limit"), "limit", least=1, most=MAX_LIMIT, default=DEFAULT_LIMIT)
