"""Which API of the upstream a path belongs to: whether it begins a chat, and which shape its errors have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote

from relay.core.chat.api import Api
from relay.core.errors import RelayError
from relay.edge.http import problems
from relay.edge.http.problems import ProblemError

TASK_PREFIXES = ("/v3/", "/v3beta/")


class Called(NamedTuple):
    """The API that a request calls: its name in events, and what reads its answers."""

    name: str
    api: Api


class Apis:
    """All of them, by their names."""

    def __init__(self, apis: Mapping[str, Api]) -> None:
        self._routes = sorted((Called(*item) for item in apis.items()), key=_length, reverse=True)
        self.prefixes = tuple(dict.fromkeys(prefix for api in apis.values() for prefix in api.prefixes))
        """Of the paths where models are limited, and errors have the shape of an API."""

    def proxied(self, path: str) -> bool:
        """Whether a path belongs to the upstream."""
        return path.startswith(self.prefixes) or path.startswith(TASK_PREFIXES)

    def family(self, path: str) -> Api | None:
        """One of the APIs beside which a path is, whatever it leads to; ``None``: it is about tasks."""
        path = plain(path)
        return next((api for _, api in self._routes if path.startswith(api.prefixes)), None)

    def begun(self, path: str) -> Called | None:
        """The API of which a POST to a path (``plain``) begins a chat."""
        path = path.rstrip("/")
        return next(
            (each for each in self._routes if path.endswith(each.api.route) and path.startswith(each.api.prefixes)),
            None,
        )

    def meant(self, path: str) -> Api | None:
        """The API that a client means whose base URL ends too early: its route, or one beside it, with no base."""
        path = plain(path)
        for _ in range(2):  # Anthropic's SDKs add one themselves
            path = path.removeprefix("/v1")
        for _, api in self._routes:
            if any(path == route or path.startswith(f"{route}/") for route in (api.route, *api.beside)):
                return api
        return None

    def answer(self, path: str, error: RelayError | ProblemError) -> problems.Answer:
        """An error in the shape that the path's clients read: its API's, or a problem document."""
        api = self.family(path) or self.meant(path)
        if api is None:
            return error.answer if isinstance(error, ProblemError) else problems.answer_to(error)
        if isinstance(error, ProblemError):
            return problems.shaped_answer(
                api.error_body, error.code, error.detail, allow=error.allow, retry_after=error.retry_after
            )
        if error.code not in problems.KINDS:
            return problems.shaped_answer(api.error_body, "internal")
        return problems.shaped_answer(api.error_body, error.code, error.message, hint=error.hint)


def plain(target: str) -> str:
    """The path that a server may take this for: decoded, without empty and dotted segments, without a query.

    What goes on is the target as it came; but a client must not get past a limit, or past being recorded, by another
    spelling of a route.
    """
    path = target.partition("?")[0]
    if "%" not in path and "//" not in path and "/." not in path:
        return path
    kept: list[str] = []
    for segment in unquote(path).split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept)


def _length(called: Called) -> int:
    return len(called.api.route)
