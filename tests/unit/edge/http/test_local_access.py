"""What a door without a token takes for local."""

from __future__ import annotations

import pytest

from relay.edge.http.local_access import is_same_site, names_loopback, why_not_local


@pytest.mark.parametrize(
    "host",
    "localhost LOCALHOST localhost:8080 localhost. relay.localhost 127.0.0.1 127.0.0.1:8080 127.9.9.9 [::1] [::1]:8080"
    " [::ffff:127.0.0.1]".split(),
)
def test_names_of_this_machine_are_known(host: str) -> None:
    """The user's own requests would be refused."""
    assert names_loopback(host)


@pytest.mark.parametrize(
    "host",
    "@ example.org localhost.example.org notlocalhost 192.168.0.1 [2001:db8::1]:80 127.0.0.1.example.org 0.0.0.0"
    " @localhost [] :8080 localhost@example.org".split(),
)
def test_names_of_others_are_not_taken_for_this_machine(host: str) -> None:
    """A page could point its own name at 127.0.0.1 and read every event (DNS rebinding)."""
    assert not names_loopback(host)


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        (None, "127.0.0.1:8080", True),
        ("http://127.0.0.1:8080", "127.0.0.1:8080", True),
        ("https://LOCALHOST:8080", "localhost:8080", True),
        ("http://127.0.0.1:9999", "127.0.0.1:8080", False),
        ("http://example.org", "127.0.0.1:8080", False),
        ("null", "127.0.0.1:8080", False),
        ("", "127.0.0.1:8080", False),
        ("http://127.0.0.1:8080", None, False),
    ],
)
def test_only_a_page_from_here_may_ask_here(origin: str | None, host: str | None, same: bool) -> None:
    """A page of another site could replay and delete dead letters through the user's browser."""
    assert is_same_site(origin, host) is same


@pytest.mark.parametrize(
    ("peer", "headers", "code"),
    [
        ("127.0.0.1", {"Host": "localhost:8080"}, None),
        ("::1", {}, None),
        ("::ffff:127.0.0.1", {"Host": "127.0.0.1", "Origin": "http://127.0.0.1"}, None),
        ("192.0.2.1", {"Host": "localhost"}, "forbidden_address"),
        ("", {}, "forbidden_address"),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, "forbidden_address"),
        ("127.0.0.1", {"Forwarded": "for=127.0.0.1"}, "forbidden_address"),
        ("127.0.0.1", {"X-Real-IP": "127.0.0.1"}, "forbidden_address"),
        ("127.0.0.1", {"Host": "rebound.example.org:8080"}, "forbidden_origin"),
        ("127.0.0.1", {"Host": "127.0.0.1:8080", "Origin": "https://example.org"}, "forbidden_origin"),
    ],
)
def test_strangers_are_not_taken_for_the_user(peer: str, headers: dict[str, str], code: str | None) -> None:
    """A relay without tokens would serve strangers behind a proxy or a browser."""
    verdict = why_not_local(peer, headers)
    assert (verdict and verdict[0]) == code
