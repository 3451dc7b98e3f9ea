"""When a certificate begins and ends, as openssl reads it, and what is no certificate."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.certificates import Validity, validity_of, validity_of_pem
from tests.services.certificates import Authority, self_signed

DAY = 86_400.0


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("certificate"))[0]


def as_openssl_says(file: Path) -> Validity:
    command = ["openssl", "x509", "-in", str(file), "-noout", "-startdate", "-enddate"]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    begins, ends = (line.partition("=")[2] for line in said.splitlines())
    return Validity(ssl.cert_time_to_seconds(begins), ssl.cert_time_to_seconds(ends))


def test_the_times_are_those_that_openssl_reads(tmp_path: Path) -> None:
    """relay would warn of the wrong day: years before 2050 and after it are written in different ways."""
    authority = Authority(tmp_path)
    for days in (2, 3650, 20_000):
        cert, _ = authority.issue("relay", days)
        assert validity_of_pem(cert.read_bytes()) == as_openssl_says(cert)


def test_the_first_certificate_of_a_file_is_the_holders(tmp_path: Path, certificate: Path) -> None:
    """An old root at the end of a chain would be reported as the end of relay's own certificate."""
    cert, _ = Authority(tmp_path).issue("relay", 30)
    chain = cert.read_bytes() + certificate.read_bytes()
    assert validity_of_pem(b"a comment\n" + chain) == as_openssl_says(cert)


@pytest.mark.parametrize(
    ("life", "left", "due"),
    [(90, 15, False), (90, 13, True), (90, -1, True), (2, 1, False), (2, 0.6, True), (365, 13.9, True)],
)
def test_a_certificate_is_due_in_its_last_two_weeks_or_last_third(life: float, left: float, due: bool) -> None:
    """Nobody would be warned; or everybody always, whose certificates live for a day and are renewed by a program."""
    now = 1_700_000_000.0
    ends = now + left * DAY
    assert Validity(ends - life * DAY, ends).is_due(now) is due


@given(st.data())
def test_what_is_no_certificate_is_refused(certificate: Path, data: st.DataObject) -> None:
    """A file that is cut off or damaged would end relay's start, or its look at changed files, with a traceback."""
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    broken = bytearray(der[: data.draw(st.integers(0, 300))])
    for _ in range(data.draw(st.integers(0, 3))):
        if broken:
            broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    try:
        validity_of(bytes(broken))
    except ValueError:
        return
    except Exception as error:
        raise AssertionError(f"{type(error).__name__} for {bytes(broken)!r}") from error


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", b"\x30\x82"])
def test_a_file_without_a_certificate_is_refused(content: bytes) -> None:
    """The doctor would call it valid."""
    with pytest.raises(ValueError, match="certificate"):
        validity_of_pem(content)
