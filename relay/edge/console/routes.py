"""``GET /`` and ``GET /console/{file}``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from aiohttp import ETag, web

from relay.edge.console.headers import headers_of
from relay.edge.http import problems
from relay.edge.http.server import respond

PAGE: Final = "index.html"
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
        self._files = _read(on_loopback=on_loopback)

    def routes(self) -> tuple[web.RouteDef, ...]:
        return (
            web.get("/", self.page),
            web.get("/console/{file}", self.file),
        )

    async def page(self, request: web.Request) -> web.StreamResponse:
        return _answer(request, self._files[PAGE])

    async def file(self, request: web.Request) -> web.StreamResponse:
        found = self._files.get(request.match_info["file"])
        if found is None:
            return respond(problems.answer("not_found", "The console has no file of this name."))
        return _answer(request, found)


def _answer(request: web.Request, file: StaticFile) -> web.Response:
    """The file, or 304 where the browser has it (RFC 9110, 13.1.2)."""
    known = request.if_none_match or ()
    if any(tag.value in (file.tag, "*") for tag in known if isinstance(tag, ETag)):
        headers = {name: value for name, value in file.headers.items() if name != "Content-Type"}
        return web.Response(status=304, headers=headers)
    return web.Response(body=file.body, headers=dict(file.headers))


def _read(*, on_loopback: bool) -> Mapping[str, StaticFile]:
    found: dict[str, StaticFile] = {}
    for file in files(__package__).joinpath("static").iterdir():
        media_type = MEDIA_TYPES.get("." + file.name.rpartition(".")[2])
        if media_type is not None:
            body = file.read_bytes()
            tag = sha256(body).hexdigest()[:32]
            headers = headers_of(media_type, f'"{tag}"', on_loopback=on_loopback)
            found[file.name] = StaticFile(body, tag, headers)
    return MappingProxyType(found)
