"""Tokens for Amazon MSK with IAM: signed by Amazon's own library, with what AWS's usual chain of credentials finds."""

from __future__ import annotations

import asyncio
import base64
import os
import re
from urllib.parse import parse_qs, urlsplit

from relay.core.sink import SinkUnavailable
from relay.sinks.kafka.config import Config
from relay.sinks.kafka.tokens import Token
from relay.threads import call

_LIFETIME = 900.0
"""Seconds for which the signer makes them good. What it answers goes by this machine's clock, which may be set."""
_BROKER = re.compile(r"\.kafka(?:-serverless)?\.([a-z0-9-]+)\.amazonaws\.com")


async def msk_token(config: Config) -> Token:
    """Signs one; temporary credentials are fetched before. Raises ``SinkUnavailable``."""
    region = region_of(config)
    if region is None:
        raise SinkUnavailable(
            "authentication",
            "No token for AWS_MSK_IAM: the region is not known.",
            hint="Set aws_region, or the variable AWS_REGION.",
        )
    # In a thread: it reads files and asks AWS's services, and its libraries take a while to load.
    return Token(await asyncio.wrap_future(call(_sign, region)), _LIFETIME)


def region_of(config: Config) -> str | None:
    """As configured, else as the brokers' names have it, else as AWS's own variables say."""
    named = _BROKER.search(config.bootstrap_servers)
    variables = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return config.aws_region or (named[1] if named else None) or variables


def _sign(region: str) -> str:
    from aws_msk_iam_sasl_signer import MSKAuthTokenProvider  # an extra
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        token, _ = MSKAuthTokenProvider.generate_auth_token(region)
    except (BotoCoreError, ClientError) as error:
        raise _none(f"{type(error).__name__}: {error}") from error
    except OSError as error:  # the token of the service account
        raise _none(f"{error.filename} cannot be read: {error.strerror}") from error
    except (AttributeError, ValueError) as error:  # what the signer raises where there are no credentials
        raise _none("no AWS credentials were found") from error
    return str(token)


def _none(reason: str) -> SinkUnavailable:
    return SinkUnavailable(
        "authentication",
        f"No token for AWS_MSK_IAM: {reason}.",
        hint="Give the relay's service account a role (IRSA, EKS Pod Identity), or set AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY.",
    )


def described_url(token: str) -> str:
    """Which token it is, without its signature: whose key signed it, for which region, and when."""
    try:
        url = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except ValueError:
        return "not a signed URL"
    query = parse_qs(urlsplit(url).query)
    scope, date = query.get("X-Amz-Credential", ["?"])[0], query.get("X-Amz-Date", ["?"])[0]
    return f"signed at {date} for {scope}"
