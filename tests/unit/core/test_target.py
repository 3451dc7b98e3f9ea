"""Targets that two servers may read differently."""

from __future__ import annotations

import pytest

from relay.core.target import why_odd

ODD = [
    "/v3/../gpu-instance/x",
    "/v3/..",
    "/v3/./async/x",
    "/v3/%2e%2e/x",
    "/v3/.%2E/x",
    "/v3/a%2f..%2fx",
    "/v3/a/..%2fx",
    "/v3/%252e%252e/x",
    "/v3/%25252e./x",
    "/v3/..;a=b/x",
    "/v3/..\\x",
    "/v3/%5c..%5cx",
    "/v3/a\\b",
    "/openai/v1/chat/completions#x",
    "/openai/v1/models?a=b#c",
    "/v3/../x?q",
]
PLAIN = [
    "/v3/async/txt2img",
    "/v3/openai/models/a%2Fb?q=%20+&q",
    "/v3beta/flux-1.1/x..y/...",
    "/openai/v1/files/.hidden/a%25b",
    "/v3/x?path=../..&u=%2e%2e/",
    "/v3//x",
]


@pytest.mark.parametrize("target", ODD)
def test_what_another_server_may_read_as_another_route_is_odd(target: str) -> None:
    """A client would get past its limits, or past being recorded, to what else the upstream serves."""
    assert why_odd(target) is not None


@pytest.mark.parametrize("target", PLAIN)
def test_what_every_server_reads_alike_is_not(target: str) -> None:
    """Requests that work without the relay would be refused."""
    assert why_odd(target) is None


def test_decoding_has_an_end() -> None:
    """A long path of percent signs would cost as many decodings as somebody likes."""
    assert why_odd("/v3/" + "%25" * 20_000) is None
    assert why_odd("/v3/%" + "25" * 20_000 + "2e") is not None
