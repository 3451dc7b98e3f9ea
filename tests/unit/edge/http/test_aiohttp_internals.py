"""The private names of aiohttp that relay rests on: each is looked up before a listener opens."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest
from aiohttp import http_parser, web
from aiohttp.web_protocol import RequestHandler

import relay
from relay.core.errors import RelayError
from relay.edge.http.aiohttp_internals import NAMES, OF_SERVERS, require_internals
from relay.edge.http.listener import Listener
from relay.edge.http.server import Limits
from tests.unit.edge.http.test_server import Noted, echo


def listener() -> Listener:
    return Listener(echo, host="127.0.0.1", port=0, limits=Limits(), signals=Noted())


@pytest.mark.parametrize(("owner", "name"), [(web.Application, "_handle"), (RequestHandler, "_process_keepalive")])
async def test_a_start_without_a_private_name_says_which_is_missing(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    """Broken: after an upgrade of aiohttp relay starts, and fails at requests with an ``AttributeError``."""
    monkeypatch.delattr(owner, name)
    with pytest.raises(RelayError) as refused:
        await listener().start()
    assert refused.value.code == "aiohttp_unsupported"
    assert f"lacks {owner.__name__}.{name}," in refused.value.message
    assert "aiohttp>=3.14.3,<3.15" in refused.value.hint


async def test_the_hint_names_the_versions_of_the_package() -> None:
    """Broken: the error recommends an aiohttp that the package does not install."""
    pyproject = (Path(relay.__file__).parents[1] / "pyproject.toml").read_text()
    assert '"aiohttp>=3.14.3,<3.15"' in pyproject


async def test_the_parser_in_c_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp falls back to its Python parser without a word, and most smuggling holes were there."""
    require_internals(listener().server)
    monkeypatch.setattr(http_parser, "HttpRequestParser", http_parser.HttpRequestParserPy)
    with pytest.raises(RelayError) as refused:
        await listener().start()
    assert refused.value.code == "http_parser_missing"
    assert "wheel" in refused.value.hint


def test_the_table_has_every_private_name_that_the_edge_uses() -> None:
    """Broken: a private name of aiohttp came into use, and nothing would say so when a release moves it."""
    known = {name for _, names in NAMES for name in names} | set(OF_SERVERS)
    missing: dict[str, set[str]] = {}
    for file in (Path(relay.__file__).parent / "edge").rglob("*.py"):
        tree = ast.parse(file.read_text())
        used = {each.attr for each in ast.walk(tree) if isinstance(each, ast.Attribute)}
        own = {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
        own |= {
            each.attr for each in ast.walk(tree) if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store)
        }
        aiohttps = {name for owner in (RequestHandler, web.StreamResponse, web.BaseRequest) for name in dir(owner)}
        private = {name for name in used & aiohttps if name.startswith("_") and not name.startswith("__")}
        if lacking := private - own - known:
            missing[file.name] = lacking
    assert not missing


def test_aiohttp_handles_a_request_as_relay_calls_it() -> None:
    """Broken: the application's private method takes something else than one request."""
    assert list(inspect.signature(web.Application._handle).parameters) == ["self", "request"]
