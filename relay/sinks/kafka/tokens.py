"""Access tokens for OAUTHBEARER, by the client credentials grant of OAuth 2.0 (RFC 6749, 4.4)."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote_plus

import orjson

from relay.core.network import why
from relay.core.sink import SinkUnavailable
from relay.sinks.kafka.config import Config

_ANSWER_WITHIN = 10.0
"""Seconds for one request to the token endpoint, its connection included."""
_MAX_ANSWER = 64 * 1024
_MAX_REASON = 200


@dataclass(frozen=True, slots=True)
class Token:
    """``lifetime``: seconds for which it is good from now on; ``None``: it does not say so."""

    value: str = field(repr=False)
    lifetime: float | None


def token_of(value: str, expires_in: object = None) -> Token:
    """A token and its lifetime: what came with it says (``expires_in``, in seconds), else its own ``exp`` does."""
    expiry = claims_of(value).get("exp")
    if isinstance(expires_in, int | float | str):
        try:
            return Token(value, float(expires_in))
        except ValueError:
            pass
    return Token(value, expiry - time.time() if isinstance(expiry, int | float) else None)


def claims_of(token: str) -> Mapping[str, Any]:
    """What a JWT says about itself, unverified: for its end and for messages. Of another kind of token: nothing."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}


def described(token: str) -> str:
    """Which token it is, without the token: a broker says only that it refuses it."""
    claims = claims_of(token)
    named = [f"{name} {claims[key]}" for key, name in _CLAIMS.items() if key in claims]
    expiry = claims.get("exp")
    if isinstance(expiry, int | float):
        seconds = expiry - time.time()
        named.append(f"expires in {seconds:.0f} s" if seconds > 0 else f"expired {-seconds:.0f} s ago")
    return ", ".join(named) or "not a JWT"


_CLAIMS = {"iss": "issuer", "aud": "audience", "sub": "subject", "scope": "scope"}


async def fetch_token(config: Config) -> Token:
    """Asks the token endpoint. Raises ``SinkUnavailable`` that names it, and never the secret."""
    import aiohttp  # most sinks need no token

    url, secret = config.sasl_oauthbearer_token_endpoint_url, config.sasl_oauthbearer_client_secret
    assert url is not None  # the model has checked both
    assert secret is not None
    form = {"grant_type": "client_credentials"}
    if config.sasl_oauthbearer_scope:
        form["scope"] = config.sasl_oauthbearer_scope
    headers = {"Accept": "application/json", "Authorization": _basic(config.sasl_oauthbearer_client_id or "", secret)}
    timeout = aiohttp.ClientTimeout(total=_ANSWER_WITHIN)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.post(url, data=form, headers=headers, allow_redirects=False) as response,
        ):
            status, body = response.status, await response.content.read(_MAX_ANSWER)
    except (OSError, aiohttp.ClientError) as error:
        cause = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
        raise SinkUnavailable(
            "unreachable",
            f"No token for OAUTHBEARER: the token endpoint {url} cannot be reached: {why(cause)}.",
            hint="Check sasl_oauthbearer_token_endpoint_url, the network, and HTTPS_PROXY if there is a proxy.",
        ) from None
    return read_answer(config, status, body)


def _basic(client_id: str, secret: Any) -> str:
    """Both parts are form-encoded first (RFC 6749, 2.3.1)."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret.get_secret_value())}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def read_answer(config: Config, status: int, body: bytes) -> Token:
    """The token in an answer of the endpoint. Raises ``SinkUnavailable``."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = {}
    answer = answer if isinstance(answer, dict) else {}
    value = answer.get("access_token")
    if status == HTTPStatus.OK and isinstance(value, str) and value.isascii() and value.isprintable():
        return token_of(value, answer.get("expires_in"))
    secret = config.sasl_oauthbearer_client_secret
    reason = ": ".join(str(answer[key]) for key in ("error", "error_description") if answer.get(key))
    reason = reason.replace(secret.get_secret_value(), "*****") if secret else reason
    raise SinkUnavailable(
        "authentication",
        f"No token for OAUTHBEARER: the token endpoint {config.sasl_oauthbearer_token_endpoint_url} answers {status} "
        f"to the client {config.sasl_oauthbearer_client_id}{f' ({reason[:_MAX_REASON]})' if reason else ''}.",
        hint="Check sasl_oauthbearer_client_id, sasl_oauthbearer_client_secret and sasl_oauthbearer_scope, and whether "
        "the client may use the grant client_credentials.",
    )
