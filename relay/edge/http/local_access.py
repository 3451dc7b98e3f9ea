"""What a listener without a token may trust: requests from this machine, made by its user and not by a web page.

A page of any site can make the user's browser send requests to 127.0.0.1, and can point a name of its own at that
address (https://en.wikipedia.org/wiki/DNS_rebinding). The browser gives it away: by ``Origin``, and by the name in
``Host``. A proxy on this machine makes the whole world look like loopback; the
headers that it adds give it away. Pure: headers in, a verdict out.
"""

from __future__ import annotations

from collections.abc import Mapping

from relay.edge.http.auth import is_loopback

Verdict = tuple[str, str]
"""The code of a problem, and its detail."""

_FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP")


def why_not_local(peer: str, headers: Mapping[str, str]) -> Verdict | None:
    """Why a request must show a token, ``None`` when it need not.

    ``peer`` is the socket's other end. A request without ``Host`` (HTTP/1.0) comes from no browser.
    """
    if not is_loopback(peer):
        return "forbidden_address", "Without a configured token only loopback peers may use this route."
    if any(name in headers for name in _FORWARDED):
        return "forbidden_address", "The request was forwarded by a proxy, and no token is configured."
    return why_of_a_page(headers)


def why_of_a_page(headers: Mapping[str, str], public_host: str | None = None) -> Verdict | None:
    """Why a request to a listener on loopback may come from a web page of another site, and must show a token.

    ``public_host``: a name (with its port, if any) under which a proxy makes the listener known.
    """
    host = headers.get("Host")
    if host is not None and not names_loopback(host) and host.lower() != public_host:
        return "forbidden_origin", "The request names a host that is not this machine, and no token is configured."
    if not is_same_site(headers.get("Origin"), host):
        return "forbidden_origin", "The request comes from a page of another site, and no token is configured."
    return None


def names_loopback(host: str) -> bool:
    """Whether a ``Host`` header (with or without a port) is ``localhost``, a name under it, or a loopback address."""
    if host.startswith("["):
        return is_loopback(host[1:].partition("]")[0])
    name = host.partition(":")[0].rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost") or is_loopback(name)


def is_same_site(origin: str | None, host: str | None) -> bool:
    """Whether a page with this ``Origin`` may ask for ``host``: it was loaded from there, or there is no page."""
    if origin is None:
        return True
    return host is not None and origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")
