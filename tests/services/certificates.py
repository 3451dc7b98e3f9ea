"""Certificates for servers on this machine, made by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path


def self_signed(folder: Path, *hosts: str) -> tuple[Path, Path]:
    """A certificate for this machine that is its own authority, and its key: PEM files that are valid for two days.

    ``hosts``: names that it has beside this machine's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cert, key = folder / "cert.pem", folder / "key.pem"
    alternatives = ",".join(["DNS:localhost", "IP:127.0.0.1", *(f"DNS:{host}" for host in hosts)])
    names = ["-subj", "/CN=localhost", "-addext", f"subjectAltName={alternatives}"]
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    subprocess.run([*new, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True, timeout=60)
    return cert, key
