"""The certificates that a configuration names."""

from __future__ import annotations

from pathlib import Path

from relay.app.plugins import sink_configs
from relay.settings import load, own_certificates
from tests.unit.settings.test_reload import settings


def test_the_certificates_of_the_shared_index_are_watched(tmp_path: Path) -> None:
    """One that is renewed in place would end all the same."""
    tls = "{ca_file: /ca, cert_file: /cert, key_file: /key}"
    found = settings(tmp_path, f"dedup: {{shared_index: 'rediss://one:6379/1', shared_index_tls: {tls}}}")
    assert found.watched_files == (Path("/ca"), Path("/cert"), Path("/key"))
    keys = {"ssl_ca_certs": "/ca", "ssl_certfile": "/cert", "ssl_keyfile": "/key"}
    assert found.dedup.index_login == {"url": "rediss://one:6379/1", **keys}


def test_relays_own_certificates_are_those_that_somebody_is_shown(tmp_path: Path) -> None:
    """Nobody would be warned of the end of one; or of one that is never shown."""
    client = "ssl_certfile: /c, ssl_keyfile: /k"
    file = tmp_path / "relay.yaml"
    file.write_text(f"""
        server: {{tls: {{cert_file: /a, key_file: /k}}}}
        dedup: {{shared_index: 'rediss://one:6379/1', shared_index_tls: {{cert_file: /i, key_file: /k}}}}
        sinks:
        - {{type: kafka, security_protocol: SSL, {client}}}
        - {{type: kafka, name: plain, {client}}}
        - {{type: redis, url: 'rediss://one:6379', {client}}}
        - {{type: redis, name: clear, {client}}}
    """)
    found = load(file, {}, sink_configs())
    assert own_certificates(found) == {
        "server.tls": Path("/a"),
        "sink kafka": Path("/c"),
        "sink redis": Path("/c"),
        "dedup.shared_index": Path("/i"),
    }
