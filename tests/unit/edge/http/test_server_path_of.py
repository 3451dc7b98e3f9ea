"""Which path a request is for."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from relay.edge.http.server import path_of


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/v3/async/txt2img?a=%2F&b=1", "/v3/async/txt2img?a=%2F&b=1"),
        ("//v3", "//v3"),
        ("http://relay.example/v3/async/txt2img?a=1", "/v3/async/txt2img?a=1"),
    ],
)
def test_the_path_is_the_same_in_both_forms_of_a_target(target: str, path: str) -> None:
    """Broken: a proxy in front that sends the absolute form would reach another route, or none."""
    assert path_of(make_mocked_request("GET", target)) == path
