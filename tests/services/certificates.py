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


class Authority:
    """One that signs the certificates of servers and clients on this machine; ``cert`` is its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.cert, self._key = folder, folder / "ca.pem", folder / "ca-key.pem"
        new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=Tests"]
        _openssl(*new, "-keyout", str(self._key), "-out", str(self.cert))

    def issue(self, name: str, days: int = 2) -> tuple[Path, Path]:
        """A certificate for a name, and its key; both are new each time. ``days`` 0: it has ended."""
        cert, key, request = (self.folder / f"{name}{suffix}" for suffix in (".pem", "-key.pem", ".csr"))
        new = ["req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"]
        names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        _openssl(*new, *names, "-keyout", str(key), "-out", str(request))
        by = ["-CA", str(self.cert), "-CAkey", str(self._key), "-CAcreateserial", "-copy_extensions", "copy"]
        _openssl("x509", "-req", "-in", str(request), *by, "-days", str(days), "-out", str(cert))
        return cert, key


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)
