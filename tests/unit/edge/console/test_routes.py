"""The console's files: how they are served, and what is in them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import relay.edge.console
from relay.edge.console import Console, routes
from relay.edge.console.routes import MEDIA_TYPES
from tests.services.raw_http import ask, get
from tests.unit.edge.serving import routed

STATIC = Path(relay.edge.console.__file__).parent / "static"
FILES = sorted(STATIC.iterdir())
SCRIPTS = [file for file in FILES if file.suffix == ".js"]
PAGE = (STATIC / "index.html").read_text("utf-8")
VERSION = Console(on_loopback=True).version
IMPORTED = re.compile(r'^(?:import .*|} )from "\./([^"]+)"', re.MULTILINE)
SERVED = ("console.js", "console.css", "icon.svg")


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with routed(Console(on_loopback=True).routes()) as served:
        yield served


async def test_the_page_is_at_the_root_and_says_how_to_treat_it(url: str) -> None:
    """There would be no console, or one without its policy."""
    reply = await ask(url, get("/"))
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in reply.headers["content-security-policy"]
    assert reply.headers["cache-control"] == "no-cache"
    assert reply.body.decode() == PAGE.replace("/console/", f"/console/{VERSION}/")


@pytest.mark.parametrize("name", SERVED)
async def test_every_file_is_served_under_its_policy(url: str, name: str) -> None:
    """The page would miss a part, or a part would be opened alone without the page's policy."""
    reply = await ask(url, get(f"/console/{VERSION}/{name}"))
    assert reply.status == 200
    assert reply.headers["content-type"] == MEDIA_TYPES[Path(name).suffix]
    assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]


async def test_a_new_page_asks_for_four_files(url: str) -> None:
    """It would find what it needs import by import, and wait for each: a quarter of a second until it asks for data."""
    linked = re.findall(r'(?:src|href)="/console/([^"]+)"', PAGE)
    assert sorted(linked) == sorted(SERVED)
    styles = (await ask(url, get(f"/console/{VERSION}/console.css"))).body
    assert styles == b"".join((STATIC / name).read_bytes() for name in routes.STYLES)
    script = (await ask(url, get(f"/console/{VERSION}/console.js"))).body.decode()
    assert re.findall(r"^// ([a-z-]+\.js)$", script, re.MULTILINE)[-1] == "main.js"


async def test_a_page_that_the_browser_has_is_not_sent_again(url: str) -> None:
    """Each visit would load it again, or after an upgrade show the one of before."""
    first = await ask(url, get("/"))
    tag = first.headers["etag"]
    again = await ask(url, get("/", f'If-None-Match: "other", {tag}'))
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
    assert "content-security-policy" in again.headers
    other = await ask(url, get("/", 'If-None-Match: "other"'))
    assert (other.status, other.body) == (200, first.body)
    assert (await ask(url, get(f"/console/{VERSION}/console.js"))).headers["etag"] != tag


async def test_files_are_kept_for_good_under_their_version_and_only_there(url: str) -> None:
    """Each page would ask for its files again, or a browser keep those of another version as those of this one."""
    kept = (await ask(url, get(f"/console/{VERSION}/console.js"))).headers["cache-control"]
    assert kept == "public, max-age=31536000, immutable"
    assert (await ask(url, get("/console/another/console.js"))).headers["cache-control"] == "no-cache"


def test_the_version_changes_with_any_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Browsers would show the console of before an upgrade, for a year."""
    read = routes._read
    for name in ("console.js", "index.html"):
        monkeypatch.setattr(routes, "_read", lambda name=name: {**read(), name: read()[name] + b" "})
        assert Console(on_loopback=True).version != VERSION


@pytest.mark.parametrize(
    "name", ["none.js", "..%2froutes.py", "%2e%2e%2froutes.py", "routes.py", ".", "main.js", "console.js%00"]
)
async def test_nothing_else_can_be_fetched(url: str, name: str) -> None:
    """Somebody could read files of the machine through the console."""
    reply = await ask(url, get(f"/console/{VERSION}/{name}"))
    assert (reply.status, reply.json["code"]) == (404, "not_found")


async def test_the_console_is_read_only(url: str) -> None:
    """A form of another site could send something to it."""
    assert (await ask(url, get("/", method="POST"))).json["code"] == "method_not_allowed"


def test_the_page_holds_no_script_and_no_style_of_its_own() -> None:
    """The policy would have to allow inline code, and with it whatever gets into the page."""
    assert re.findall(r"<script(?![^>]*\ssrc=)", PAGE) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=", PAGE) == []
    sources = re.findall(r'(?:src|href)="([^#"]+)"', PAGE)
    assert sources
    assert all(source.startswith("/console/") for source in sources)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda file: file.name)
def test_no_script_makes_markup_or_code_of_a_text(script: Path) -> None:
    """What a stranger wrote into an event could become markup or script."""
    text = script.read_text("utf-8")
    makers = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|new Function|setHTML"
    assert not re.search(makers, text)
    assert not re.search(r"localStorage|document\.cookie", text), "the token lives no longer than the tab"


def test_every_file_is_a_part_of_the_page() -> None:
    """A module or a style would lie there dead."""
    imported = {name for script in SCRIPTS for name in IMPORTED.findall(script.read_text("utf-8"))}
    assert imported | {"main.js", "index.html", "icon.svg", *routes.STYLES} == {file.name for file in FILES}


def test_every_icon_that_is_named_is_drawn() -> None:
    """A button would be empty."""
    drawn = set(re.findall(r'<symbol id="icon-([a-z-]+)"', PAGE))
    named = set(re.findall(r'href="#icon-([a-z-]+)"', PAGE))
    for script in SCRIPTS:
        named |= set(re.findall(r'\bicon\("([a-z-]+)"\)', script.read_text("utf-8")))
    assert named <= drawn
    assert drawn - named <= {"pause", "play"}
