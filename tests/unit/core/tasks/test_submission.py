"""Where a webhook is inserted: the client's own counts, and no other byte changes."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.tasks.submission import webhook_insertion

URL = "https://relay.example/webhooks/novita/t0k3n"
ADDED = {"extra": {"webhook": {"url": URL}}}

scalars = st.none() | st.booleans() | st.integers(-99, 99) | st.text(alphabet='ab\\"{}[]:, é', max_size=6)


def objects(key: str, inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects that may have ``key``, among other members and in any place."""
    others = st.dictionaries(st.sampled_from(["request", "extra", "webhook", "url", "prompt"]), scalars, max_size=3)
    return st.tuples(others, st.none() | st.tuples(st.just(key), inner), st.booleans()).map(
        lambda t: t[0] if t[1] is None else ({t[1][0]: t[1][1], **t[0]} if t[2] else {**t[0], t[1][0]: t[1][1]})
    )


bodies = objects("extra", objects("webhook", objects("url", scalars)))
layouts = st.sampled_from([{}, {"indent": 1}, {"separators": (",", ":")}, {"separators": (" , ", " : ")}])


def expected(document: dict[str, Any]) -> dict[str, Any]:
    """The same, by the plain way: parse, look, add."""
    extra = document.get("extra", {})
    webhook = extra.get("webhook", {}) if isinstance(extra, dict) else None
    if not isinstance(webhook, dict) or "url" in webhook:
        return document
    return {**document, "extra": {**extra, "webhook": {**webhook, "url": URL}}}


@given(bodies, layouts, st.booleans())
def test_the_webhook_is_added_where_there_is_none_and_nothing_else_changes(
    document: dict[str, Any], layout: Any, mutable: bool
) -> None:
    """A client's request would reach the upstream as another one, or a webhook of the client be replaced."""
    body = json.dumps(document, ensure_ascii=False, **layout).encode()
    insertion = webhook_insertion(bytearray(body) if mutable else body, URL)
    if insertion is None:
        assert expected(document) == document
        return
    spliced = body[: insertion.at] + insertion.text + body[insertion.at :]
    assert orjson.loads(spliced) == expected(document) != document


@pytest.mark.parametrize(
    ("body", "spliced"),
    [
        (b"{}", b'{"extra":{"webhook":{"url":"%b"}}}'),
        (b' {"prompt" : "a"} \n', b' {"extra":{"webhook":{"url":"%b"}},"prompt" : "a"} \n'),
        (b'{"extra":{ },"a":1.50}', b'{"extra":{"webhook":{"url":"%b"} },"a":1.50}'),
        (b'{"extra": {"x":1} }', b'{"extra": {"webhook":{"url":"%b"},"x":1} }'),
        (
            b'{"extra":{"webhook":{"test_mode":{"enabled":true}}}}',
            b'{"extra":{"webhook":{"url":"%b","test_mode":{"enabled":true}}}}',
        ),
        (b'{"prompt":"\\"extra\\":{","n":1e2}', b'{"extra":{"webhook":{"url":"%b"}},"prompt":"\\"extra\\":{","n":1e2}'),
        (b'{"callback":null}', b'{"extra":{"webhook":{"url":"%b"}},"callback":null}'),
    ],
)
def test_the_bytes_around_the_webhook_are_the_clients(body: bytes, spliced: bytes) -> None:
    """Numbers, white space or escapes of the client's would be rewritten on their way."""
    insertion = webhook_insertion(body, URL)
    assert insertion is not None
    assert body[: insertion.at] + insertion.text + body[insertion.at :] == spliced % URL.encode()


@pytest.mark.parametrize(
    "body",
    [
        b'{"extra":{"webhook":{"url":"https://client.example/h"}}}',
        b'{"extra":{"webhook":{"url":""}}}',
        b'{"extra":{"webhook":{"url":null}}}',
        b'{"\\u0065xtra":{"webhoo\\u006b":{"url":"https://client.example/h"}}}',
        b'{"model":"wan-2.6","callback":"https://client.example/h"}',
        b'{"extra":null}',
        b'{"extra":"x"}',
        b'{"extra":[]}',
        b'{"extra":{"webhook":null}}',
        b'{"extra":{"webhook":"https://client.example/h"}}',
        b'{"extra":{},"extra":{"webhook":{"url":"https://client.example/h"}}}',
        b'{"extra":{"webhook":{},"webhook":{"url":"https://client.example/h"}}}',
        b'{"extra":{"webhook":{"url":"a","url":"b"}}}',
        b"[]",
        b"null",
        b"",
        b"not json",
        b'{"prompt":"a"',
        b'{"prompt":"a"}{}',
    ],
)
def test_what_the_client_named_and_what_is_odd_stay_as_they_are(body: bytes) -> None:
    """A client would wait at its own address for a webhook that goes to the relay, or the relay would repair a body."""
    assert webhook_insertion(body, URL) is None
