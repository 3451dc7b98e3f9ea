"""Which path a request is for, in either form of its target."""

from __future__ import annotations

from aiohttp import web


def path_of(request: web.BaseRequest) -> str:
    """The path and query of a request's target, also where it has the absolute form (RFC 9112, 3.2.2)."""
    target = request.raw_path
    return target if target.startswith("/") else request.rel_url.raw_path_qs
