"""What a TLS handshake has led to, in words."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import Any, Final

from relay.core.certificates import Validity

_DAY: Final = 86_400


def described_tls(tls: Any, now: float, whose: str) -> str:
    """What was negotiated, and when the certificate of ``whose`` ends, where it was looked at.

    ``tls``: the connection's ``ssl.SSLObject``. ``now``: epoch seconds.
    """
    cipher, certificate = tls.cipher(), tls.getpeercert() or {}
    text = f"{tls.version()}, {cipher[0] if cipher else 'no cipher'}"
    if not certificate:
        return text
    validity = Validity(*(float(ssl.cert_time_to_seconds(certificate[name])) for name in ("notBefore", "notAfter")))
    at = datetime.fromtimestamp(validity.ends, UTC).strftime("%Y-%m-%d %H:%M UTC")
    soon = ": renew it" if validity.is_due(now) else ""
    return f"{text}; the certificate of {whose} ends in {(validity.ends - now) / _DAY:.0f} days, at {at}{soon}"
