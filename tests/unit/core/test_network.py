"""Why a connection failed."""

from __future__ import annotations

import socket
import ssl

import pytest

from relay.core.network import speaks_no_tls, why


def tls_error(reason: str, verdict: str = "") -> ssl.SSLError:
    """An error as OpenSSL raises it."""
    error = ssl.SSLCertVerificationError(1, f"[SSL: {reason}] (_ssl.c:1006)")
    error.reason = reason
    error.verify_message = verdict
    return error


REFUSES = "it does not accept relay's certificate, or misses one"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TimeoutError(), "no answer in time"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "its name cannot be resolved (Name or service not known)"),
        (tls_error("CERTIFICATE_VERIFY_FAILED", "self-signed"), "its certificate is not trusted (self-signed)"),
        (tls_error("WRONG_VERSION_NUMBER"), "it does not speak TLS"),
        (tls_error("UNEXPECTED_EOF_WHILE_READING"), "it closed the connection during the TLS handshake"),
        (tls_error("UNSUPPORTED_PROTOCOL"), "it does not speak TLS 1.2 or newer"),
        (tls_error("TLSV1_ALERT_PROTOCOL_VERSION"), "it does not speak TLS 1.2 or newer"),
        (tls_error("NO_CIPHERS"), "TLS failed (NO_CIPHERS)"),
        (tls_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"), f"{REFUSES} (TLSV13_ALERT_CERTIFICATE_REQUIRED)"),
        (tls_error("TLSV1_ALERT_UNKNOWN_CA"), f"{REFUSES} (TLSV1_ALERT_UNKNOWN_CA)"),
        (tls_error("SSLV3_ALERT_HANDSHAKE_FAILURE"), "TLS failed (SSLV3_ALERT_HANDSHAKE_FAILURE)"),
        (ConnectionResetError(), "it closed the connection"),
    ],
)
def test_the_reason_is_plain(error: Exception, text: str) -> None:
    """People would read class names, numbers and places in C files, and not learn what to change."""
    assert why(error) == text


def test_an_answer_that_is_not_tls_is_recognized() -> None:
    """Somebody would check certificates where the port has no TLS at all."""
    assert speaks_no_tls(tls_error("WRONG_VERSION_NUMBER"))
    assert not speaks_no_tls(tls_error("CERTIFICATE_VERIFY_FAILED", "x"))
    assert not speaks_no_tls(ConnectionResetError())
