"""Whose certificates the upstream may show, and that this can change."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.core.errors import RelayError
from relay.upstream.trust import Trust
from tests.services.certificates import self_signed


async def test_a_changed_file_is_trusted_from_the_next_handshake_on(tmp_path: Path) -> None:
    """relay would have to be restarted when the CA of an egress proxy is replaced, and would trust the former one."""
    cert, _ = self_signed(tmp_path / "first")
    trust = Trust(cert)
    before = await trust.context()
    assert trust.renew() is False
    assert await trust.context() is before
    self_signed(tmp_path / "second")[0].replace(cert)
    assert trust.renew() is True
    [ca] = (await trust.context()).get_ca_certs(binary_form=True)
    assert ca not in before.get_ca_certs(binary_form=True)


async def test_a_file_without_certificates_changes_nothing(tmp_path: Path) -> None:
    """Every request to the upstream would fail from a half-written file on."""
    cert, _ = self_signed(tmp_path)
    trust = Trust(cert)
    before = await trust.context()
    for wrong in (lambda: cert.write_text("not a certificate"), cert.unlink):
        wrong()
        with pytest.raises(RelayError, match=r"upstream\.ssl_cafile, .* cannot be used"):
            trust.renew()
        assert await trust.context() is before
