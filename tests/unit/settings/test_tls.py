"""The certificates that a configuration names."""

from __future__ import annotations

from pathlib import Path

from tests.unit.settings.test_reload import settings


def test_the_certificates_of_the_shared_index_are_watched(tmp_path: Path) -> None:
    """One that is renewed in place would end all the same."""
    tls = "{ca_file: /ca, cert_file: /cert, key_file: /key}"
    found = settings(tmp_path, f"dedup: {{shared_index: 'rediss://one:6379/1', shared_index_tls: {tls}}}")
    assert found.watched_files == (Path("/ca"), Path("/cert"), Path("/key"))
    keys = {"ssl_ca_certs": "/ca", "ssl_certfile": "/cert", "ssl_keyfile": "/key"}
    assert found.dedup.index_login == {"url": "rediss://one:6379/1", **keys}
