"""What becomes of certificates that changed, and of those that cannot be read."""

from __future__ import annotations

from pathlib import Path

from relay.app.certificates import renew, validities
from relay.core.errors import RelayError
from tests.services.certificates import self_signed


class Held:
    """A certificate that has changed, has not, or cannot be used."""

    def __init__(self, key: str, answer: bool | RelayError) -> None:
        self.key, self._answer = key, answer

    def renew(self) -> bool:
        if isinstance(self._answer, RelayError):
            raise self._answer
        return self._answer


def test_one_that_cannot_be_used_holds_up_no_other() -> None:
    """A wrong file of the admin listener would keep the main listener's new certificate from being used."""
    error = RelayError("bad_certificates", "no")
    renewal = renew([Held("admin.tls", error), Held("server.tls", True), Held("upstream.ssl_cafile", False)])
    assert (renewal.changed, renewal.refused) == (["server.tls"], {"admin.tls": error})


def test_a_file_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    """The others would have no metric either, and nobody would be warned of their end."""
    cert, key = self_signed(tmp_path)
    found = dict(validities({"away": tmp_path / "none", "server.tls": cert, "admin.tls": key}))
    assert list(found) == ["server.tls"]
    assert found["server.tls"].ends > found["server.tls"].begins
