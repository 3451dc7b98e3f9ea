"""Redaction: what leaves the relay holds no webhook address, prompt, credential or query string."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.redact import REDACTED, TOO_DEEP, prune, publishable, redact, scrub, scrub_text

SECRET = "https://relay.example/h/t0k3n"

scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8)
callback_keys = st.sampled_from(
    ["webhook", "Webhook", "web_hook", "webhook_url", "callback", "callbackUrl", "call_back"]
)


# Any text may turn out to be "SECRET"; these letters spell nothing that is withheld.
innocent_keys = st.text("abxyz09_-. ä", max_size=6)


def nested(leaf: st.SearchStrategy[Any], keys: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[Any]:
    names = st.text(max_size=6) if keys is None else keys
    return st.recursive(leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))


def around(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Documents with ``inner`` somewhere in them, below documented and unknown keys and inside arrays."""
    keys = st.sampled_from(["extra", "task", "images", "payload"]) | st.text(max_size=6)
    return st.recursive(
        inner,
        lambda deeper: (
            st.tuples(st.dictionaries(keys, scalars, max_size=3), keys, deeper).map(lambda t: {**t[0], t[1]: t[2]})
            | st.tuples(st.lists(scalars, max_size=2), deeper).map(lambda t: [*t[0], t[1]])
        ),
        max_leaves=6,
    )


@given(around(st.tuples(callback_keys, nested(st.just(SECRET) | scalars)).map(lambda pair: {pair[0]: pair[1]})))
def test_no_webhook_address_survives_at_any_depth(document: Any) -> None:
    """The receiver's own address, its only secret, would be published to every consumer."""
    redact(document)
    assert "t0k3n" not in json.dumps(document)


@given(around(st.just({"request_info": '{"prompts":["kite"]}', "negative_prompt": ["kite"], "prompt": {"p": "kite"}})))
def test_no_prompt_survives_at_any_depth(document: Any) -> None:
    """What end users typed would be published, in the vendor's documented place or in a new one."""
    redact(document)
    assert "kite" not in json.dumps(document)


@given(nested(scalars, innocent_keys))
def test_documents_without_secrets_stay_as_they_are(document: Any) -> None:
    """Unknown fields would be lost from ``raw``, where consumers look for what the relay does not know."""
    before = json.dumps(document)
    redact(document)
    assert json.dumps(document) == before


def test_the_settings_around_a_webhook_address_stay_readable() -> None:
    """``raw`` would not show whether test mode was on."""
    document = {"webhook": {"url": SECRET, "test_mode": {"enabled": True, "return_task_status": "TASK_STATUS_FAILED"}}}
    redact(document)
    assert document == {
        "webhook": {"url": REDACTED, "test_mode": {"enabled": True, "return_task_status": "TASK_STATUS_FAILED"}}
    }


def test_an_address_used_as_a_key_is_redacted() -> None:
    """A webhook given as ``{address: settings}`` would be published."""
    document = {"webhook": {SECRET: True}}
    redact(document)
    assert document == {"webhook": {REDACTED: True}}


def test_a_list_of_addresses_is_redacted_one_by_one() -> None:
    """``raw`` would not show how many webhooks a task has."""
    document = {"webhooks": [SECRET, {"url": SECRET}, True]}
    redact(document)
    assert document == {"webhooks": [REDACTED, {"url": REDACTED}, True]}


@pytest.mark.parametrize(
    "key", ["Authorization", "api_key", "apiKey", "client_secret", "password", "access_token", "token", "credentials"]
)
def test_credentials_are_redacted_wherever_they_are(key: str) -> None:
    """A key echoed by the upstream in a new field would be published."""
    document = {"extra": [{key: "s3cret"}]}
    redact(document)
    assert document == {"extra": [{key: REDACTED}]}


def test_token_counts_are_no_secrets() -> None:
    """The usage of a chat stream would vanish from its dead letter."""
    usage = {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 1}, "total_tokens": 3}
    redact(usage)
    assert usage == {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 1}, "total_tokens": 3}


@pytest.mark.parametrize("opening", ['{"a":', "[", '{"webhook":', '{"webhook":['])
def test_the_deepest_document_that_parses_is_published_without_its_depths(opening: str) -> None:
    """One absurdly nested field would end in an exception and cost the event."""
    closing = "".join({"{": "}", "[": "]"}[c] for c in reversed(opening) if c in "{[")
    times = 1000 // len(closing)
    document = orjson.loads(opening * times + f'"{SECRET}"' + closing * times)
    redact(document)
    published = publishable(document)
    orjson.loads(published)
    assert TOO_DEEP.encode() in published or b"t0k3n" not in published


def test_pruning_keeps_everything_above_the_depth() -> None:
    """Fields at an ordinary depth would be cut off along with the junk."""
    document = {"a": [{"b": 1}], "c": 2}
    prune(document, 1)
    assert document == {"a": [TOO_DEEP], "c": 2}


@pytest.mark.parametrize(
    "address",
    [
        "https://r.example/webhooks/novita/t0k3n",
        "https://r.example/prefix/webhooks/novita/t0k3n?k=v",
        "https:\\/\\/r.example\\/webhooks\\/novita\\/t0k3n",
        "https%3A%2F%2Fr.example%2Fwebhooks%2Fnovita%2Ft0k3n",
        "https%3a%2f%2fr.example%2fwebhooks%2fnovita%2ft0k3n",
        "/webhooks/other-source/t0k3n",
    ],
)
def test_a_token_inside_any_text_is_hidden(address: str) -> None:
    """An error message that quotes the webhook's address would publish its token."""
    assert "t0k3n" not in scrub_text(f"POST {address} answered 500")
    scrubbed = scrub(
        orjson.dumps({"reason": f'"{address}" answered 500', "more": orjson.dumps({"u": address}).decode()})
    )
    assert b"t0k3n" not in scrubbed
    assert orjson.loads(scrubbed)["reason"].endswith("answered 500")


def test_text_that_is_not_json_keeps_only_the_hosts_of_its_addresses() -> None:
    """A log or dead letter of plain text would show secrets in paths and query strings."""
    text = 'see https://user:pw@a.example/h/t0k3n?sig=1, "redis://:pw@b.example:6379" and c'
    assert scrub_text(text) == f'see https://a.example/{REDACTED} "redis://b.example:6379" and c'


@given(st.text(max_size=60))
def test_scrubbing_takes_any_text(text: str) -> None:
    """A malformed address would turn a log line into an exception."""
    scrub_text(text)
