"""The types of settings beyond durations and sizes, secrets among them: each says what it accepts.

Their errors never repeat the value. Every secret of a configuration can be listed, to keep it out of texts.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BaseModel, Field, SecretStr

from relay.core.network import UNIX

_STORE = re.compile(
    r"(?:(?:s3|gs|az)://[A-Za-z0-9][A-Za-z0-9._-]{1,254}|file:///[A-Za-z0-9._%-])(?:/?[A-Za-z0-9._=/%+-]{0,512})",
    re.ASCII,
)
_HOST = re.compile(r"[A-Za-z0-9._:%-]{1,255}", re.ASCII)
_TOKEN = re.compile(r"[A-Za-z0-9._~+=-]+", re.ASCII)
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII)
DIRECT = "direct"
"""``upstream.proxy``: no proxy, whatever the environment says; the word is that of proxy auto-configuration."""

_REDIS_SCHEMES = ("redis://", "rediss://", "unix://")
_MAKE_ONE = "make one with: openssl rand -hex 32"


def is_loopback_host(host: str) -> bool:
    """Whether only this machine can reach a listener (or a server) at this host."""
    if host.startswith(UNIX):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not text:
        raise ValueError("is empty: give it a value, or remove the key")
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("must be printable ASCII without white space; look for a stray space or line break")
    return secret


def _webhook_token(secret: SecretStr) -> SecretStr:
    if not _TOKEN.fullmatch(secret.get_secret_value()):
        raise ValueError(f"must consist of letters, digits and . _ ~ + = -, since it is part of a URL; {_MAKE_ONE}")
    return secret


def _signing_secret(secret: SecretStr) -> SecretStr:
    prefix, text = secret.get_secret_value()[:6], secret.get_secret_value()[6:]
    if prefix != "whsec_":
        raise ValueError("must begin with whsec_, followed by the base64 of 24 to 64 bytes (Standard Webhooks)")
    try:
        size = len(base64.b64decode(text + "=" * (-len(text) % 4), validate=True))
    except (binascii.Error, ValueError):
        raise ValueError("must be base64 after whsec_ (Standard Webhooks)") from None
    if not 24 <= size <= 64:
        raise ValueError(f"must hold 24 to 64 bytes after whsec_, in base64 (Standard Webhooks); it holds {size}")
    return secret


def _redis_url(secret: SecretStr) -> SecretStr:
    url = secret.get_secret_value()
    if not url.startswith(_REDIS_SCHEMES):
        raise ValueError("must begin with redis://, rediss:// (TLS) or unix://")
    if not url.startswith("unix://") and not _is_redis_address(url):
        raise ValueError("must end in a port and a database number, like redis://host:6379/0, without ? and #")
    return secret


def _is_redis_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        database = parts.path.strip("/")
        return (parts.port or 1) > 0 and (not database or database.isdecimal()) and not (parts.query or parts.fragment)
    except ValueError:
        return False


def why_no_proxy(url: str) -> str | None:
    """What is wrong with the address of an HTTP proxy, as the end of a sentence that does not quote it."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid or not (url.isascii() and url.isprintable()) or " " in url:
        return "must be an address like http://user:password@proxy.example:3128; http:// or https:// are possible"
    if parts.path.strip("/") or "?" in url or "#" in url:
        return "must end with the port; write # as %23, ? as %3F and / as %2F in a user or password"
    return None


def _proxy_url(secret: SecretStr) -> SecretStr:
    url = secret.get_secret_value()
    if url != DIRECT and (reason := why_no_proxy(url)):
        raise ValueError(f"{reason}; {DIRECT}: no proxy at all")
    return secret


def _sha256(text: str) -> str:
    if not _SHA256.fullmatch(text):
        raise ValueError("must be the SHA-256 of the key in 64 hex digits: printf %s KEY | sha256sum")
    return text.lower()


def _network(text: str) -> str:
    try:
        ip_network(text)
    except ValueError:
        raise ValueError(_why_no_network(text)) from None
    return text


def _why_no_network(text: str) -> str:
    try:
        return f"has bits set to the right of its mask; write {ip_network(text, strict=False)}"
    except ValueError:
        return "must be an IP network like 10.0.0.0/8 or 2001:db8::/32, or an address"


def _host(text: str) -> str:
    if text.startswith(UNIX):
        return _socket_path(text)
    host = text.removeprefix("[").removesuffix("]")
    if not _HOST.fullmatch(host):
        raise ValueError(
            "must be a host name or an IP address, like 127.0.0.1, 0.0.0.0 or ::1; the port has its own key"
        )
    return host


def _socket_path(text: str) -> str:
    # Linux has room for 108 bytes (unix(7)), of which the last is zero.
    if (
        not text.startswith(f"{UNIX}/")
        or text.endswith("/")
        or "\0" in text
        or len(os.fsencode(text)) > 107 + len(UNIX)
    ):
        raise ValueError("must be the full path of a socket, at most 107 bytes, like unix:/run/relay/relay.sock")
    return text


def _origin(text: str) -> str:
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid or not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("must be a URL that begins with https:// or http:// and names a host")
    if parts.username is not None or "?" in text or "#" in text:
        raise ValueError("must be a URL without user, query and fragment")
    return text.rstrip("/")


def _store_url(text: str) -> str:
    if not _STORE.fullmatch(text) or any(set(part) <= {"."} for part in text.rstrip("/").split("/")[3:]):
        raise ValueError(
            "must be s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///folder, without a query"
        )
    return text.rstrip("/")


Secret = Annotated[SecretStr, AfterValidator(_secret)]
"""Printable ASCII without spaces, not empty: it travels in headers."""

WebhookToken = Annotated[Secret, AfterValidator(_webhook_token)]
"""A secret that can stand in a URL's path as it is."""

SigningSecret = Annotated[Secret, AfterValidator(_signing_secret)]
"""``whsec_`` and base64: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"""

RedisUrl = Annotated[Secret, AfterValidator(_redis_url)]
"""A Redis address; a secret, as it may hold a password."""

ProxyUrl = Annotated[Secret, AfterValidator(_proxy_url)]
"""The address of an HTTP proxy, or ``direct``; a secret, as it may hold a password."""

Sha256 = Annotated[str, AfterValidator(_sha256)]
"""64 hex digits, held in lower case."""

Network = Annotated[str, AfterValidator(_network)]
"""A CIDR, IPv4 or IPv6; a bare address is a network of one."""

Host = Annotated[str, AfterValidator(_host)]
"""A host name or an IP address to bind, without brackets; or ``unix:`` and the path of a socket."""

StoreUrl = Annotated[str, AfterValidator(_store_url)]
"""Where outputs are stored, without credentials and without a slash at the end."""

HttpUrl = Annotated[str, AfterValidator(_origin)]
"""``http`` or ``https``, a path at most; held without a slash at the end."""

Port = Annotated[int, Field(ge=0, le=65535)]
"""A TCP port to bind; 0 takes a free one."""


def secrets_of(settings: object) -> frozenset[str]:
    """The secrets in clear; of an address that is one, the password."""
    return frozenset(_secrets_within(settings))


def _secrets_within(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield from _secret_part(value.get_secret_value())
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets_within(getattr(value, name))
    elif isinstance(value, dict):
        for item in value.values():
            yield from _secrets_within(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _secrets_within(item)


def _secret_part(text: str) -> Iterator[str]:
    # Not the whole of an address: an error that names the server would then name nothing.
    if "://" not in text:
        yield text
    elif password := urlsplit(text).password:
        yield from {password, unquote(password)}
