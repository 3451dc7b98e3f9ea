"""The consumer API of a relay, as the command line uses it: synchronous, over the standard library.

Everything that fails comes out as ``RelayError`` with what to do. No redirect is followed: a token stays with the
address that it was meant for.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from relay.cli.exchange import NETWORK_ERRORS, Address, exchange, parts_of
from relay.core.errors import RelayError
from relay.core.network import speaks_no_tls, why

Json = dict[str, Any]
Query = Mapping[str, str | Sequence[str]]

ANSWER_WITHIN: Final = 10.0
"""Seconds for a connection and for each answer."""
SILENT_FOR: Final = 45.0
"""Seconds without a byte after which a live stream is taken for dead; the relay sends a heartbeat every 15."""
PAGE: Final = 1000


class Unreachable(RelayError):
    """No answer, or a stream that broke off: it may work later."""

    def __init__(self, url: str, error: BaseException) -> None:
        hint = "Is it running? Start one with `relay serve`, or pass another address with `--url`."
        if speaks_no_tls(error):
            hint = "Pass its address with http://, or that of the proxy in front of it that speaks TLS."
        message = f"The relay at {url} cannot be reached: {why(error)}."
        super().__init__("unreachable", message, hint=hint, retriable=True)


@dataclass(frozen=True, slots=True)
class Frame:
    """One event of a live stream: its offset, its type, and the CloudEvent as JSON."""

    offset: int
    kind: str
    data: bytes


class Client:
    """One relay. A URL must be ``http(s)://host[:port][/path]`` or ``unix:/path``; ``ValueError`` otherwise."""

    def __init__(self, where: str | Address, token: str | None = None) -> None:
        self._address = where if isinstance(where, Address) else Address(parts_of(where, "http://127.0.0.1:8080"))
        self.url = self._address.parts.geturl().rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def status(self) -> Json:
        """The relay's state: ``GET /v1/status``."""
        return self._ask("GET", "/v1/status")

    def drain(self, accept_for: float) -> Json:
        """Has it drain, and take everything for so many seconds more; answers the drain's state."""
        return self._ask("POST", "/v1/drain", {"accept_for": f"{accept_for:g}s"})

    def cancel_drain(self) -> Json:
        return self._ask("DELETE", "/v1/drain")

    # -- events ------------------------------------------------------------------------------------------------

    def latest(self) -> int:
        """The offset of the newest event."""
        return int(self._ask("GET", "/v1/events", {"after": "latest", "limit": "1"})["next"])

    def events(self, after: int, wanted: Mapping[str, str], pruned: Callable[[Json], None]) -> Iterator[Json]:
        """What the relay holds beyond an offset, up to the event that is the newest now.

        ``pruned`` is given the ``first`` and ``last`` offset of what it holds no more.
        """
        newest = self.latest()
        while after < newest:
            page = self.page(after, wanted)
            if page["pruned"]:
                pruned(page["pruned"])
            yield from page["events"]
            if page["next"] <= after:
                return
            after = page["next"]

    def page(self, after: int, wanted: Query, limit: int = PAGE) -> Json:
        """Events beyond an offset, and ``next``, up to which none of the wanted ones is left out."""
        return self._ask("GET", "/v1/events", {**wanted, "after": str(after), "limit": str(limit)})

    def follow(self, after: int, wanted: Mapping[str, str]) -> Iterator[Frame | None]:
        """Events beyond an offset as they come, ``None`` for a heartbeat, until the relay ends the stream.

        Raises ``Unreachable`` when it breaks off.
        """
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        with self._exchange("GET", "/v1/events", wanted, headers, SILENT_FOR) as response:
            yield from frames(response)

    # -- dead letters ------------------------------------------------------------------------------------------

    def dead_letters(self) -> Iterator[Json]:
        """All of them, in the order of their ids, without raw bytes."""
        after: str | None = ""
        while after is not None:
            page = self._ask("GET", "/v1/dead-letters", {"after": after, "limit": str(PAGE)})
            yield from page["dead_letters"]
            after = page["next"]

    def dead_letter(self, id: str) -> Json:
        """One, with what it holds as text in which secrets are withheld."""
        return self._ask("GET", _letter(id))

    def replay(self, id: str) -> Json:
        """Sends one on its way again; answers its ``status`` and ``event_id``."""
        return self._ask("POST", _letter(id) + "/replay")

    def delete(self, id: str) -> None:
        self._ask("DELETE", _letter(id))

    # -- tasks and chats ---------------------------------------------------------------------------------------

    def tasks(self, wanted: Mapping[str, str]) -> Iterator[Json]:
        """Pages of ``tasks``, newest first; each counts those followed, by state."""
        return self._pages("/v1/tasks", wanted)

    def chats(self, wanted: Mapping[str, str]) -> Iterator[Json]:
        """Pages of ``chats``, newest first."""
        return self._pages("/v1/chats", wanted)

    def outputs(self, wanted: Mapping[str, str]) -> Iterator[Json]:
        """Pages of ``outputs``, newest first; each counts all that wait."""
        return self._pages("/v1/outputs", wanted)

    def retry_output(self, task_id: str, index: int) -> Json:
        """Has one tried at once; answers it."""
        return self._ask("POST", f"/v1/outputs/{quote(task_id, safe='')}/{index}/retry")

    def _pages(self, path: str, wanted: Mapping[str, str]) -> Iterator[Json]:
        before: str | None = ""
        while before is not None:
            page = self._ask("GET", path, {**wanted, "before": before, "limit": str(PAGE)})
            yield page
            before = page["next"]

    def timeline(self, subject: str, most: int) -> Json:
        """All about one task or chat, from ``most`` pages at most; ``truncated`` says whether there is more."""
        path = "/v1/subjects/" + quote(subject, safe="")
        timeline = self._ask("GET", path, {"limit": str(PAGE)})
        for _ in range(most - 1):
            if timeline["next"] is None:
                break
            page = self._ask("GET", path, {"limit": str(PAGE), "after": str(timeline["next"])})
            for part in ("events", "publications", "duplicates"):
                timeline[part] += page[part]
            timeline |= {"next": page["next"], "truncated": page["truncated"]}
        return timeline

    # -- HTTP --------------------------------------------------------------------------------------------------

    def _ask(self, method: str, path: str, query: Query | None = None) -> Json:
        with self._exchange(method, path, query or {}, {}, ANSWER_WITHIN) as response:
            body = response.read()
        if response.status == 204:
            return {}
        document = _document(body)
        if document is None:
            raise self._stranger(response.status)
        return document

    @contextmanager
    def _exchange(
        self, method: str, path: str, query: Query, headers: Mapping[str, str], silent_for: float
    ) -> Iterator[http.client.HTTPResponse]:
        """A request and its answer, when it is a good one. Raises ``RelayError`` for any other, or if it breaks off."""
        path += "?" + urlencode(query, doseq=True) if query else ""
        sent = {**self._headers, **headers}
        try:
            with exchange(
                self._address, method, path, headers=sent, timeout=ANSWER_WITHIN, silent_for=silent_for
            ) as response:
                if response.status >= 300:  # a redirect, too: the token is for this address only
                    raise self._refusal(response.status, response.read())
                yield response
        except NETWORK_ERRORS as error:
            raise Unreachable(self.url, error) from error

    def _refusal(self, status: int, body: bytes) -> RelayError:
        """An RFC 9457 problem as an error; anything else did not come from a relay."""
        problem = _document(body)
        if problem is None or "code" not in problem:
            return self._stranger(status)
        title, detail = problem.get("title", ""), problem.get("detail", "")
        message = f"{title}: {detail}" if detail else f"{title}."
        hint = problem.get("hint", "")
        if status == 401:
            hint = "Pass one of server.api_tokens with --token-file or the variable RELAY_API_TOKEN."
        return RelayError(problem["code"], message, hint=hint, retriable=status >= 500)

    def _stranger(self, status: int) -> RelayError:
        return RelayError(
            "not_a_relay",
            f"{self.url} answered {status}, but not with a document of relay.",
            hint="Is this relay's main listener (server.port)? A gateway in front of relay may also answer so.",
            retriable=status >= 500,
        )


def gathered(pages: Iterable[Json], name: str, limit: int) -> tuple[list[Json], Json]:
    """So many of what pages list under a name, and the last page that it took; no further page is asked for."""
    found: list[Json] = []
    page: Json = {}
    for page in pages:
        found += page[name][: limit - len(found)]
        if len(found) == limit:
            break
    return found, page


def frames(lines: Iterable[bytes]) -> Iterator[Frame | None]:
    """The events of an SSE stream, ``None`` for a comment on its own; an event that was cut off is skipped.

    Each frame of the relay has one ``data`` line (its JSON holds no line break), and its offset as ``id``.
    Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
    """
    offset: int | None = None
    data: bytes | None = None
    kind = ""
    for line in lines:
        if line == b"\n":
            yield Frame(offset, kind, data) if offset is not None and data is not None else None
            offset = data = None
            continue
        name, _, value = line.rstrip(b"\n").partition(b": ")
        if name == b"id":
            offset = int(value)
        elif name == b"event":
            kind = value.decode()
        elif name == b"data":
            data = value


def _document(body: bytes) -> Json | None:
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _letter(id: str) -> str:
    return "/v1/dead-letters/" + quote(id, safe="")
