"""A submission: its endpoint, and where relay's webhook goes so that every other byte stays as the client sent it.

Vendor page: https://novita.ai/docs/api-reference/model-apis-webhook (``extra.webhook.url``). The unified video API
takes a ``callback`` instead (the vendor's own client); a client that names one has named its webhook.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import orjson

from relay.core.json_scan import Body, Member, Members, Unwalkable, Walk

UNIFIED: Final = "video/create"
"""The endpoint that makes tasks of any model: the body names it."""

_ENDPOINT: Final = re.compile(r"/v3(?:beta)?/(?:async/)?([A-Za-z0-9._/-]{1,100})", re.ASCII)


def endpoint_of(path: str) -> str | None:
    """The endpoint's name, which stands for the type of a task until the upstream names it.

    ``path`` is without its query; ``None`` where no endpoint has it.
    """
    match = _ENDPOINT.fullmatch(path)
    return match[1] if match else None


class Insertion(NamedTuple):
    """``text`` goes between ``body[:at]`` and ``body[at:]``."""

    at: int
    text: bytes


def webhook_insertion(body: Body, url: str) -> Insertion | None:
    """What makes ``extra.webhook.url`` of a submission ``url``; ``None``: the submission is to stay as it is.

    It stays when the client named a webhook of its own (whatever that is), when ``extra`` or ``extra.webhook`` is
    something else than an object (null, too), when one of these keys is there twice, and when the body is no JSON
    object at all: what is odd is for the upstream to judge.
    """
    try:
        return _insertion(Walk(body), body, orjson.dumps(url))
    except Unwalkable:
        return None


def _insertion(walk: Walk, body: Body, url: bytes) -> Insertion | None:
    top = walk.members()
    if _is_named(body, top.only("callback")):
        return None
    extra = top.only("extra")
    if extra is None:
        return _first(top, b'"extra":{"webhook":{"url":%b}}' % url)
    if not _is_object(body, extra):
        return None
    settings = walk.members(extra.start, extra.end)
    webhook = settings.only("webhook")
    if webhook is None:
        return _first(settings, b'"webhook":{"url":%b}' % url)
    if not _is_object(body, webhook):
        return None
    named = walk.members(webhook.start, webhook.end)
    return _first(named, b'"url":%b' % url) if named.only("url") is None else None


def _first(members: Members, text: bytes) -> Insertion:
    """As the object's first member, where neither its white space nor its last comma matters."""
    return Insertion(members.inside, text + b"," if members.found else text)


def _is_object(body: Body, member: Member) -> bool:
    return body[member.start : member.start + 1] == b"{"


def _is_named(body: Body, callback: Member | None) -> bool:
    return callback is not None and body[callback.start : callback.end] not in (b"null", b'""')
