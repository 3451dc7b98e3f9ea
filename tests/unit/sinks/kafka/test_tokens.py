"""Access tokens: what an endpoint answers, and what may be shown of them."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest

from relay.core.sink import SinkUnavailable
from relay.sinks.kafka import Config
from relay.sinks.kafka.tokens import _basic, claims_of, described, read_answer, token_of

SECRET = "s3cret/+: word"
CONFIG = Config(
    type="kafka",
    security_protocol="SASL_SSL",
    sasl_mechanism="OAUTHBEARER",
    sasl_oauthbearer_token_endpoint_url="https://id.test/token",
    sasl_oauthbearer_client_id="relay",
    sasl_oauthbearer_client_secret=SECRET,
)


def jwt(**claims: Any) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"head.{payload}.signature"


def test_the_lifetime_of_a_token_is_what_came_with_it_or_what_it_says_itself() -> None:
    """If this fails, a token is renewed after it has ended, or at every transaction."""
    assert token_of(jwt(exp=1), 3600).lifetime == 3600
    assert token_of("opaque", "3599").lifetime == 3599  # Azure writes a text
    own = token_of(jwt(exp=time.time() + 60)).lifetime
    assert own is not None
    assert 55 < own <= 60
    assert token_of("opaque").lifetime is None
    assert token_of(jwt(exp="soon"), "soon").lifetime is None


@pytest.mark.parametrize("token", ["", "opaque", "a.b.c", "a.W10.c", f"a.{'!' * 9}.c", "a.\u00fc.c"])
def test_what_is_no_jwt_has_no_claims(token: str) -> None:
    """If this fails, a token of another form cannot be used, or ends the relay."""
    assert claims_of(token) == {}
    assert described(token) == "not a JWT"


def test_a_token_is_described_without_being_shown() -> None:
    """If this fails, an operator cannot see why a broker refuses it, or everybody who reads the log can use it (P8)."""
    token = jwt(iss="https://id.test", aud=["kafka"], sub="relay", exp=time.time() - 5, roles=["hidden"])
    assert described(token) == "issuer https://id.test, audience ['kafka'], subject relay, expired 5 s ago"
    assert token not in repr(token_of(token))


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (
            401,
            b'{"error": "invalid_client", "error_description": "no such client"}',
            "(invalid_client: no such client)",
        ),
        (401, json.dumps({"error": f"bad {SECRET}"}).encode(), "(bad *****)"),
        (200, b'{"token_type": "Bearer"}', "answers 200 to the client relay."),
        (200, b'{"access_token": "with\\u0001control"}', "answers 200"),
        (200, b'["access_token"]', "answers 200"),
        (503, b"<html>", "answers 503 to the client relay."),
    ],
)
def test_an_answer_without_a_token_is_reported_without_the_secret(status: int, body: bytes, reason: str) -> None:
    """If this fails, nobody learns why there is no token, or the secret is in the log (P8)."""
    with pytest.raises(SinkUnavailable) as caught:
        read_answer(CONFIG, status, body)
    assert caught.value.code == "authentication"
    assert reason in caught.value.message
    assert SECRET not in str(caught.value)


def test_the_secret_is_encoded_before_it_is_sent() -> None:
    """If this fails, a secret with a colon or a plus is another one at the provider (RFC 6749, 2.3.1)."""
    header = _basic("re:lay", CONFIG.sasl_oauthbearer_client_secret)
    assert base64.b64decode(header.removeprefix("Basic ")) == b"re%3Alay:s3cret%2F%2B%3A+word"
