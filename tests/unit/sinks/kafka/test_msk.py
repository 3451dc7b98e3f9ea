"""Tokens for MSK: which region they are for, and what may be shown of them. A broker checks them in
tests/integration/test_kafka_logins.py."""

from __future__ import annotations

import base64

import pytest

from relay.core.sink import SinkUnavailable
from relay.sinks.kafka import Config
from relay.sinks.kafka.msk import described_url, msk_token, region_of

SERVERLESS = "boot-a.c2.kafka-serverless.eu-west-1.amazonaws.com:9098"
PROVISIONED = "b-1.a.c2.kafka.ap-south-1.amazonaws.com:9098,b-2.a.c2.kafka.ap-south-1.amazonaws.com:9098"


def config(servers: str, region: str | None = None) -> Config:
    iam = {"security_protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM"}
    return Config(type="kafka", bootstrap_servers=servers, aws_region=region, **iam)


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_the_region_is_the_clusters(variables: pytest.MonkeyPatch) -> None:
    """If this fails, tokens are signed for another region than the brokers', which then refuse them."""
    assert region_of(config(SERVERLESS)) == "eu-west-1"
    assert region_of(config(PROVISIONED)) == "ap-south-1"
    assert region_of(config(SERVERLESS, "us-east-1")) == "us-east-1"
    assert region_of(config("kafka.internal:9098")) is None
    variables.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    assert region_of(config("kafka.internal:9098")) == "eu-north-1"
    assert region_of(config(SERVERLESS)) == "eu-west-1"
    variables.setenv("AWS_REGION", "eu-south-1")
    assert region_of(config("kafka.internal:9098")) == "eu-south-1"


async def test_a_region_that_is_not_known_is_asked_for() -> None:
    """If this fails, the broker refuses a token, and nobody learns why."""
    with pytest.raises(SinkUnavailable, match=r"the region is not known\. Set aws_region"):
        await msk_token(config("kafka.internal:9098"))


def test_a_token_is_described_without_its_signature() -> None:
    """If this fails, everybody who reads the log can use the token (P8)."""
    query = "X-Amz-Credential=AKID%2F20260101%2Feu-west-1&X-Amz-Date=20260101T000000Z&X-Amz-Signature=abcdef"
    token = base64.urlsafe_b64encode(f"https://kafka.eu-west-1.amazonaws.com/?{query}".encode()).decode().rstrip("=")
    assert described_url(token) == "signed at 20260101T000000Z for AKID/20260101/eu-west-1"
    assert described_url("\u00fc") == described_url("_w") == "not a signed URL"
