"""What a TLS handshake has led to, in words."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from relay.core.tls import described_tls

JANUARY = 1_767_225_600.0


@pytest.mark.parametrize(
    ("certificate", "shown"),
    [
        (
            {"notBefore": "Nov  2 00:00:00 2025 GMT", "notAfter": "Jan 31 00:00:00 2026 GMT"},
            "TLSv1.3, AES; the certificate of the broker ends in 30 days, at 2026-01-31 00:00 UTC",
        ),
        (
            {"notBefore": "Oct  9 00:00:00 2025 GMT", "notAfter": "Jan  9 00:00:00 2026 GMT"},
            "ends in 8 days, at 2026-01-09 00:00 UTC: renew it",
        ),
        (
            {"notBefore": "Dec 31 00:00:00 2025 GMT", "notAfter": "Jan  9 00:00:00 2026 GMT"},
            "ends in 8 days, at 2026-01-09 00:00 UTC",  # a short life, of which it has most before it
        ),
        ({}, "TLSv1.3, AES"),
    ],
)
def test_a_certificate_that_ends_soon_is_noticed(certificate: dict[str, str], shown: str) -> None:
    """If this fails, an operator learns of it when no connection is made any more."""
    tls = SimpleNamespace(
        cipher=lambda: ("AES", "TLSv1.3", 256), getpeercert=lambda: certificate, version=lambda: "TLSv1.3"
    )
    assert described_tls(tls, JANUARY, "the broker").endswith(shown)
