"""Which headers are forwarded, and which are dropped. Pure.

A proxy removes what belongs to one connection only (RFC 9110, 7.6.1) and leaves everything else as it came: order,
case, repetitions and all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

RawHeaders = Sequence[tuple[bytes, bytes]]
"""Header fields as on the wire, in their order and case."""

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
"""RFC 9110, 7.6.1 and 11.7; ``Keep-Alive`` and ``Proxy-Connection`` from before it."""

_REQUEST_ONLY = HOP_BY_HOP | {b"host", b"content-length", b"expect"}
_KEPT_OF_CONNECTION = frozenset(
    (b"content-length", b"content-type", b"content-encoding", b"authorization", b"x-api-key", b"host")
)


def request_headers(received: RawHeaders) -> list[tuple[bytes, bytes]]:
    """What of a request's headers goes to the upstream.

    ``Host``, ``Content-Length`` and ``Expect`` end here as well: the client of the upstream sets the first two again,
    and the third was answered here.
    """
    return _without(received, _REQUEST_ONLY | named_by_connection(received))


def response_headers(received: RawHeaders, status: int) -> list[tuple[bytes, bytes]]:
    """What of an answer's headers goes to the client: of lengths one, and none where the status has no body.

    Several that say the same are one answer to the relay and a smuggled one to others (RFC 9110, 8.6).
    """
    kept = _without(received, HOP_BY_HOP | named_by_connection(received))
    lengths = [field for field in kept if field[0].lower() == b"content-length"]
    if len(lengths) > 1 or (lengths and status == 204):
        kept = _without(kept, frozenset((b"content-length",))) + ([] if status == 204 else lengths[:1])
    return kept


def named_by_connection(headers: RawHeaders) -> frozenset[bytes]:
    """The headers that ``Connection`` declares to be of this connection only, in lower case.

    Not those without which a message is another one: a client could otherwise have them taken away from what the relay
    sends in its own name.
    """
    listed = (value for name, value in headers if name.lower() == b"connection")
    names = {token.strip().lower() for value in listed for token in value.split(b",")}
    return frozenset(names) - _KEPT_OF_CONNECTION


def replaced(headers: RawHeaders, name: bytes, value: bytes) -> list[tuple[bytes, bytes]]:
    """The headers with one of them (its name in lower case) set to a value: in its place, or at the end."""
    kept: list[tuple[bytes, bytes]] = []
    done = False
    for field in headers:
        if field[0].lower() != name:
            kept.append(field)
        elif not done:
            kept.append((field[0], value))
            done = True
    if not done:
        kept.append((name.title(), value))
    return kept


def first(headers: RawHeaders, name: bytes) -> bytes | None:
    """The value of the first field of this name (in lower case)."""
    return next((value for key, value in headers if key.lower() == name), None)


def declared_length(headers: RawHeaders) -> int | None:
    """What ``Content-Length`` says; ``None`` where it is missing or no number."""
    value = first(headers, b"content-length") or b""
    return int(value) if value.isdigit() else None


def _without(headers: Iterable[tuple[bytes, bytes]], names: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
    return [field for field in headers if field[0].lower() not in names]
