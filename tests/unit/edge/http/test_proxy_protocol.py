from __future__ import annotations

import pytest

from relay.edge.http.proxy_protocol import MAX_REST, SIGNATURE, NotAccepted, client_of, length_of_rest

TCP4 = bytes([192, 0, 2, 7, 10, 0, 0, 1]) + (1234).to_bytes(2) + (443).to_bytes(2)
TCP6 = bytes.fromhex("20010db8" + "00" * 11 + "07") + bytes(16) + (1234).to_bytes(2) + (443).to_bytes(2)


def fixed(command: int, family: int, length: int) -> bytes:
    return SIGNATURE + bytes([command, family]) + length.to_bytes(2)


@pytest.mark.parametrize(
    ("command", "family", "rest", "client"),
    [
        (0x21, 0x11, TCP4, ("192.0.2.7", 1234)),
        (0x21, 0x21, TCP6, ("2001:db8::7", 1234)),
        (0x21, 0x11, TCP4 + b"\x03\x00\x04abcd", ("192.0.2.7", 1234)),  # what a proxy adds is passed over
        (0x20, 0x00, b"", None),
        (0x20, 0x11, TCP4, None),  # its own health check
        (0x21, 0x00, b"", None),
    ],
)
def test_a_header_says_for_whom_the_proxy_connects(
    command: int, family: int, rest: bytes, client: tuple[str, int] | None
) -> None:
    """Everybody would seem to come from the proxy, or a health check of the proxy from a stranger."""
    begin = fixed(command, family, len(rest))
    assert length_of_rest(begin) == len(rest)
    assert client_of(begin, rest) == client


@pytest.mark.parametrize(
    ("begin", "reason"),
    [
        (b"PROXY TCP4 192.0", "version 1"),
        (b"GET / HTTP/1.1\r\n", "no header"),
        (b"\x16\x03\x01" + bytes(13), "no header"),
        (fixed(0x11, 0x11, 12), "an unknown version or command"),
        (fixed(0x22, 0x11, 12), "an unknown version or command"),
        (fixed(0x21, 0x11, MAX_REST + 1), "a header that is too long"),
    ],
)
def test_what_is_no_header_of_version_2_is_refused(begin: bytes, reason: str) -> None:
    """A peer could say who it is in a form that relay reads in another way than the proxy wrote it."""
    with pytest.raises(NotAccepted, match=reason):
        length_of_rest(begin)


@pytest.mark.parametrize(("family", "rest"), [(0x11, TCP4[:-1]), (0x21, TCP6[:-1]), (0x12, TCP4), (0x31, bytes(216))])
def test_half_an_address_is_refused(family: int, rest: bytes) -> None:
    """A client without an address would be taken for the proxy, which has more rights."""
    with pytest.raises(NotAccepted, match="an address that is not one of TCP"):
        client_of(fixed(0x21, family, len(rest)), rest)
