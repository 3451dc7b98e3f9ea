"""``GET /`` and ``GET /console/{version}/{file}``.

The page is four files: itself, its scripts and its styles each as one, and an icon. It names the others by a version
that changes with any of them, so that browsers keep them for good: a second page asks for nothing but itself, and a
relay that was upgraded never shows half a page of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from aiohttp import ETag, hdrs, web

from relay.edge.console.bundle import bundle
from relay.edge.console.headers import ASK_AGAIN, FOR_GOOD, headers_of
from relay.edge.http import problems
from relay.edge.http.server import respond

PAGE: Final = "index.html"
STYLES: Final = ("foundation.css", "frame.css", "parts.css", "views.css")
"""In the order of the cascade."""

MEDIA_TYPES: Final = MappingProxyType(
    {
        ".css": "text/css; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
    }
)
"""By suffix; a file of another one is not served."""


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is served. ``tag`` is its entity tag without quotes."""

    body: bytes
    tag: str
    headers: Mapping[str, str]


class Console:
    """Serves the console, which is read into memory once. ``on_loopback``: the listener is."""

    def __init__(self, *, on_loopback: bool) -> None:
        bodies = _read()
        self.version = _digest(b"".join(name.encode() + body for name, body in sorted(bodies.items())))[:12]
        bodies[PAGE] = bodies[PAGE].replace(b"/console/", b"/console/%b/" % self.version.encode())
        self._files = {name: _static(name, body, on_loopback=on_loopback) for name, body in bodies.items()}

    def routes(self) -> tuple[web.RouteDef, ...]:
        return (
            web.get("/", self.page),
            web.get("/console/{version}/{file}", self.file),
        )

    async def page(self, request: web.Request) -> web.StreamResponse:
        return _answer(request, self._files[PAGE], ASK_AGAIN)

    async def file(self, request: web.Request) -> web.StreamResponse:
        """The file as it is here: for a page of another version, which a balancer has led here, for this time only."""
        found = self._files.get(request.match_info["file"])
        if found is None:
            return respond(problems.answer("not_found", "The console has no file of this name."))
        is_ours = request.match_info["version"] == self.version
        return _answer(request, found, FOR_GOOD if is_ours else ASK_AGAIN)


def _answer(request: web.Request, file: StaticFile, kept: str) -> web.Response:
    """The file, or 304 where the browser has it (RFC 9110, 13.1.2)."""
    headers = {hdrs.CACHE_CONTROL: kept, **file.headers}
    known = request.if_none_match or ()
    if any(tag.value in (file.tag, "*") for tag in known if isinstance(tag, ETag)):
        del headers[hdrs.CONTENT_TYPE]
        return web.Response(status=304, headers=headers)
    return web.Response(body=file.body, headers=headers)


def _read() -> dict[str, bytes]:
    """The files as they are served, by their names."""
    found = files(__package__).joinpath("static").iterdir()
    texts = {file.name: file.read_text("utf-8") for file in found if _suffix(file.name) in MEDIA_TYPES}
    served = {
        PAGE: texts[PAGE],
        "console.js": bundle({name: text for name, text in texts.items() if name.endswith(".js")}),
        "console.css": "".join(texts[name] for name in STYLES),
        "icon.svg": texts["icon.svg"],
    }
    return {name: text.encode() for name, text in served.items()}


def _static(name: str, body: bytes, *, on_loopback: bool) -> StaticFile:
    tag = _digest(body)[:32]
    return StaticFile(body, tag, headers_of(MEDIA_TYPES[_suffix(name)], f'"{tag}"', on_loopback=on_loopback))


def _suffix(name: str) -> str:
    return "." + name.rpartition(".")[2]


def _digest(body: bytes) -> str:
    return sha256(body).hexdigest()
