"""Which egress proxy, if any, connections to the upstream go through: ``upstream.proxy``, or the environment. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from relay.core.errors import RelayError
from relay.core.network import authority
from relay.settings.model import UpstreamSettings
from relay.settings.values import DIRECT, is_loopback_host, why_no_proxy

SETTING: Final = "upstream.proxy"
_VARIABLES: Final = ("https_proxy", "HTTPS_PROXY")
"""In curl's order. The upstream is https; of one in clear text (a simulator, a neighbour), HTTP_PROXY says nothing."""


@dataclass(frozen=True, slots=True)
class EgressProxy:
    """An HTTP proxy that opens tunnels (RFC 9110, 9.3.6). As text it has no credentials.

    ``source``: the setting or variable that names it. ``authorization``: the value of ``Proxy-Authorization``.
    """

    secure: bool
    host: str
    port: int
    source: str
    authorization: bytes | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{'https' if self.secure else 'http'}://{authority(self.host, self.port)}"


def egress_proxy(settings: UpstreamSettings, environ: Mapping[str, str]) -> EgressProxy | None:
    """``None``: none, connections go straight to the upstream. Raises ``RelayError`` for a variable without sense."""
    if settings.proxy is not None:
        url = settings.proxy.get_secret_value()
        return None if url == DIRECT else _parsed(url, SETTING)
    parts = urlsplit(settings.base_url)
    host = parts.hostname or ""
    source = next((name for name in _VARIABLES if environ.get(name)), None)
    if parts.scheme != "https" or source is None or is_loopback_host(host):
        return None
    if is_exempt(host, parts.port or 443, environ.get("no_proxy") or environ.get("NO_PROXY") or ""):
        return None
    url = _with_scheme(environ[source])
    if reason := why_no_proxy(url):
        raise RelayError(
            "bad_egress_proxy",
            f"The variable {source} {reason}.",
            hint="Correct it, or set upstream.proxy: relay then ignores the variable.",
        )
    return _parsed(url, source)


def variables(environ: Mapping[str, str]) -> list[SecretStr]:
    """The addresses in the environment that may hold a password, whichever of them counts."""
    return [SecretStr(_with_scheme(environ[name])) for name in _VARIABLES if environ.get(name)]


def _with_scheme(address: str) -> str:
    return address if "://" in address else f"http://{address}"


def is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """Whether ``NO_PROXY`` names this host: itself, its domain, with its port, or its address's network; or ``*``.

    As curl and Go's httpproxy read it: https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config
    """
    return any(_names(entry.lower(), host.lower(), port) for entry in no_proxy.replace(",", " ").split())


def _names(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    try:
        return ip_address(host) in ip_network(entry.strip("[]"), strict=False)
    except ValueError:  # one of them is a name
        pass
    name, colon, wanted = entry.rpartition(":")
    if colon and wanted.isdecimal():
        entry = name if int(wanted) == port else ""
    domain = entry.strip("[]").removeprefix("*").lstrip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _parsed(url: str, source: str) -> EgressProxy:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    authorization = None
    if parts.username is not None:  # RFC 7617
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = b"Basic " + base64.b64encode(credentials.encode())
    return EgressProxy(secure, parts.hostname or "", parts.port or (443 if secure else 80), source, authorization)
