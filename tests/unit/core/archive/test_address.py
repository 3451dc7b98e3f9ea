"""Which addresses and hosts the archive may read."""

from __future__ import annotations

import pytest

from relay.core.archive.address import Hosts, is_public

PRIVATE = [
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",  # the metadata of a cloud's machine, its credentials among them
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.192",
    "198.18.0.1",
    "192.0.2.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "fc00::1",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "::127.0.0.1",
    "localhost",
    "2130706433",
    "",
]
PUBLIC = ["8.8.8.8", "52.219.0.1", "2606:4700::1111", "2a00:1450:4001:81b::200e", "64:ff9b::808:808", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_the_own_network_is_not_public(address: str) -> None:
    """If this fails, the maker of a link reads the operator's network through relay."""
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    """If this fails, outputs are lost although they could be had."""
    assert is_public(address)


def test_without_a_list_every_public_host_is_allowed() -> None:
    """If this fails, nothing is archived until every host of the upstream's is listed."""
    assert Hosts().name("out.example")
    assert not Hosts().trusts("https", "out.example", 443)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("out.example", True),
        ("OUT.example.", True),
        ("a.out.example", False),
        ("evilout.example", False),
        ("a.cdn.example", True),
        ("a.b.cdn.example", True),
        ("cdn.example", False),
        ("evilcdn.example", False),
        ("simulator", False),
    ],
)
def test_a_list_allows_the_hosts_that_it_names(host: str, allowed: bool) -> None:
    """If this fails, a link may lead to another host than the operator allows."""
    assert Hosts.of(["out.example", "*.CDN.example", "http://simulator:8300"]).name(host) is allowed


def test_an_origin_is_trusted_as_it_is_written() -> None:
    """If this fails, naming a simulator lets links lead to its neighbours."""
    hosts = Hosts.of(["http://simulator:8300", "https://[::1]", "https://files.internal/"])
    assert hosts.trusts("http", "SIMULATOR", 8300)
    assert hosts.trusts("https", "::1", 443)
    assert hosts.trusts("https", "files.internal", 443)
    assert not hosts.trusts("https", "simulator", 8300)
    assert not hosts.trusts("http", "simulator", 8301)
    assert not hosts.name("out.example"), "only origins are listed"


@pytest.mark.parametrize(
    "entry", ["", "*.", "*", "out.example/path", "a*.example", "out.example:443", "ftp://a", "http://", "http://a/path"]
)
def test_an_entry_that_is_neither_a_name_nor_an_origin_is_refused(entry: str) -> None:
    """If this fails, a typing error allows nothing, or everything, and nobody learns of it."""
    with pytest.raises(ValueError, match=r"is not (a name|an origin)"):
        Hosts.of([entry])
