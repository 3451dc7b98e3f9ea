"""Who is asking: tokens, addresses and signatures. Pure: headers and the time in, a verdict out.

No refusal says which token, address or secret was expected, and nothing here is printable as a secret.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from relay.core.errors import RelayError

Networks = tuple[IPv4Network | IPv6Network, ...]

UNKNOWN = "unknown"
"""The address of a client that a trusted proxy did not name: it is on no list and is not loopback."""

_LONGEST_ADDRESS = 64  # "[" + 39 characters of IPv6 + "]:65535" fits; longer text is never worth a cache slot
_MAPPED = IPv6Network("::ffff:0:0/96")


# Tokens ---------------------------------------------------------------------------------------------------------


def token_digest(token: str) -> bytes:
    """SHA-256 of a token. Digests have one length, so comparing them leaks nothing about the token's."""
    # surrogatepass: header and path text may hold undecodable bytes as lone surrogates; they must not raise.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class TokenSet:
    """The tokens that open a door: several, so that an old and a new one are valid while they are rotated.

    An empty set is false and matches nothing; what an unguarded door then means is the caller's decision.
    """

    __slots__ = ("_digests",)

    def __init__(self, tokens: Sequence[str]) -> None:
        """Raises ``ValueError`` for an empty token, which a request without any credential would match."""
        if not all(tokens):
            raise ValueError("A token is empty. Give it a value (32 random characters) or remove it.")
        self._digests = tuple(token_digest(token) for token in tokens)

    def matches(self, presented: str) -> bool:
        """Whether ``presented`` is one of the tokens, in a time that does not depend on which."""
        digest = token_digest(presented)
        found = False
        for known in self._digests:  # no early exit: the position of the match must not show
            found |= hmac.compare_digest(known, digest)
        return found

    def __bool__(self) -> bool:
        return bool(self._digests)

    def __repr__(self) -> str:
        return f"TokenSet({len(self._digests)} tokens)"


def bearer(header: str | None) -> str | None:
    """The token of an ``Authorization: Bearer`` header, or ``None``. The scheme's case is free (RFC 9110, 11.1)."""
    scheme, _, rest = (header or "").strip().partition(" ")
    token = rest.strip()
    if scheme.lower() != "bearer" or not token or " " in token:
        return None
    return token


# Addresses ------------------------------------------------------------------------------------------------------


def networks(cidrs: Sequence[str]) -> Networks:
    """Parsed CIDRs; a bare address is a network of one. IPv4-mapped IPv6 networks become IPv4 ones.

    Raises ``ValueError`` naming the entry that is no network, or that has bits set to the right of its mask.
    """
    return tuple(_unmapped_network(ip_network(cidr)) for cidr in cidrs)


def client_address(peer: str, forwarded_for: Sequence[str], trusted: Networks) -> str:
    """The address that a request really comes from, as canonical text.

    ``peer`` is the socket's other end, ``forwarded_for`` the ``X-Forwarded-For`` headers as received, repeated ones
    in order. They count only if the peer is one of the ``trusted`` proxies. Each proxy appends the address that it
    saw, so the walk goes from the right and ends at the first address that is not a trusted proxy: everything to the
    left of it is the sender's own text. If all of them are trusted, the leftmost is the client.

    An entry that is no address (``unknown``, a name, a path) ends the walk with ``UNKNOWN``: falling back to the
    proxy in front of it would lend the client the proxy's own rights, those of loopback in the worst case.
    An entry may carry a port (``192.0.2.1:443``, ``[2001:db8::1]:443``); empty entries are skipped, as RFC 9110,
    5.6.1.2 has it for lists. A peer that is no IP address is returned as it is.
    """
    parsed = _parse(peer)
    if parsed is None:
        return peer
    client = parsed
    for hop in _from_the_right(forwarded_for):
        if not _within(client, trusted):
            break
        named = _parse_hop(hop)
        if named is None:
            return UNKNOWN
        client = named
    return str(client)


def is_loopback(address: str) -> bool:
    """Whether an address is this machine's own: ``127.0.0.0/8``, ``::1`` and ``::ffff:127.0.0.0/104``."""
    parsed = _parse(address)
    return parsed is not None and parsed.is_loopback


def is_within(address: str, allowed: Networks) -> bool:
    """Whether an address is in one of the networks; what is no IP address is in none."""
    parsed = _parse(address)
    return parsed is not None and _within(parsed, allowed)


class AddressFilter:
    """An allow-list of CIDRs. An empty one is false and lets everybody pass."""

    __slots__ = ("_networks",)

    def __init__(self, cidrs: Sequence[str]) -> None:
        """Raises ``ValueError`` like ``networks``."""
        self._networks = networks(cidrs)

    def allows(self, address: str) -> bool:
        """Whether the address is on the list; what is no IP address is on none."""
        return not self._networks or is_within(address, self._networks)

    def __bool__(self) -> bool:
        return bool(self._networks)


def _from_the_right(headers: Sequence[str]) -> Iterator[str]:
    """The entries of a repeated list header, last first. Lazy: a long forged list costs nothing beyond the walk."""
    for header in reversed(headers):
        for entry in reversed(header.split(",")):
            if hop := entry.strip():
                yield hop


def _within(address: IPv4Address | IPv6Address, allowed: Networks) -> bool:
    return any(address in network for network in allowed)


def _parse_hop(hop: str) -> IPv4Address | IPv6Address | None:
    """An entry of ``X-Forwarded-For``: an address, with or without a port."""
    if hop.startswith("["):
        host, bracket, tail = hop[1:].partition("]")
        if not bracket or ":" not in host or not (tail == "" or _is_port(tail)):
            return None
        return _parse(host)
    host, colon, port = hop.partition(":")
    if colon and "." in host and _is_port(colon + port):
        return _parse(host)
    return _parse(hop)


def _is_port(text: str) -> bool:
    digits = text[1:]
    return text[0] == ":" and digits.isascii() and digits.isdigit() and len(digits) <= 5 and int(digits) <= 65535


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    return _parse_short(text) if len(text) <= _LONGEST_ADDRESS else None


@lru_cache(maxsize=1024)
def _parse_short(text: str) -> IPv4Address | IPv6Address | None:
    """An address without scope id, IPv4 where it is IPv4-mapped: one spelling for one machine."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


def _unmapped_network(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFF_FFFF, network.prefixlen - 96))
    return network


# Signatures -----------------------------------------------------------------------------------------------------


class SignatureRefused(RelayError):
    """A delivery is not signed as it must be.

    ``code`` is ``missing_signature``, ``bad_timestamp``, ``stale_timestamp`` or ``bad_signature``.
    """


class SignatureVerifier:
    """Checks the signatures of Standard Webhooks: HMAC-SHA256, version ``v1``.

    Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    Several secrets are valid at once while they are rotated; the header may list several signatures for the same
    reason, and those of other versions (``v1a``) are passed over.
    """

    __slots__ = ("_keyed", "_tolerance")

    def __init__(self, secrets: Sequence[str], tolerance_seconds: float = 300.0) -> None:
        """``secrets``: ``whsec_`` (optional) and the base64 of 24 to 64 bytes.

        Raises ``ValueError`` naming the position of a secret that is not, never its text.
        """
        self._keyed = tuple(hmac.new(_key(secret, n), digestmod="sha256") for n, secret in enumerate(secrets, 1))
        self._tolerance = tolerance_seconds

    def __bool__(self) -> bool:
        return bool(self._keyed)

    def verify(self, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """Raises ``SignatureRefused`` unless one of the secrets signed exactly this delivery.

        ``headers`` is looked up under lower-case names, ``body`` is the raw body, ``now`` is epoch seconds. A
        timestamp exactly ``tolerance_seconds`` away from ``now``, either way, still passes.
        """
        try:
            identifier, stamp, listed = (headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
        except KeyError as missing:
            raise SignatureRefused("missing_signature", f"The header {missing} is missing.") from None
        self._check_age(stamp, now)
        if not identifier.isascii() or not identifier or "." in identifier:
            # id.timestamp.body could otherwise be cut at another dot and mean another delivery.
            raise SignatureRefused("bad_signature", "The header 'webhook-id' is empty, not ASCII, or holds a '.'.")
        signed = f"{identifier}.{stamp}.".encode("ascii")
        if not self._is_signed(signed, body, _version_1(listed)):
            raise SignatureRefused("bad_signature", "No 'v1' signature matches the id, the timestamp and the body.")

    def _check_age(self, stamp: str, now: float) -> None:
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 15):
            raise SignatureRefused("bad_timestamp", "The header 'webhook-timestamp' is not a number of whole seconds.")
        if abs(now - int(stamp)) > self._tolerance:
            raise SignatureRefused(
                "stale_timestamp", f"The timestamp is more than {self._tolerance:g} s from the relay's clock."
            )

    def _is_signed(self, signed: bytes, body: bytes, candidates: Sequence[bytes]) -> bool:
        found = False
        for keyed in self._keyed:
            mac = keyed.copy()
            mac.update(signed)
            mac.update(body)
            expected = base64.b64encode(mac.digest())
            for candidate in candidates:  # no early exit: neither the secret nor the position may show
                found |= hmac.compare_digest(expected, candidate)
        return found


def _version_1(listed: str) -> list[bytes]:
    """The base64 texts of the ``v1`` entries of a ``webhook-signature`` header."""
    pairs = (entry.partition(",") for entry in listed.split(" "))
    return [text.encode("utf-8", "surrogatepass") for version, _, text in pairs if version == "v1"]


def _key(secret: str, position: int) -> bytes:
    text = secret.removeprefix("whsec_")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"Signing secret no. {position} is not base64 after its prefix 'whsec_'.") from None
    if not 24 <= len(key) <= 64:
        raise ValueError(f"Signing secret no. {position} has {len(key)} bytes; the standard asks for 24 to 64.")
    return key
