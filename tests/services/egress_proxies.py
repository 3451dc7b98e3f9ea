"""The egress proxies of real networks: Debian's squid and tinyproxy, which want a user and a password."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.services.ports import free_port
from tests.services.programs import executable, open_folder

USER: Final = "relay"
PASSWORDS: Final = {"squid": "password/of:the@proxy", "tinyproxy": "password-of-the-proxy"}
"""To begin with. Tinyproxy takes no special characters."""
UPSTREAM: Final = "upstream.test"
"""A name that nobody but squid can resolve."""
_START_WITHIN = 30.0

_SQUID: Final = """
{listen}
hosts_file {folder}/hosts

access_log stdio:{folder}/access.log
cache_log {folder}/cache.log
pid_filename none
visible_hostname squid.test
cache deny all
max_filedescriptors 1024
shutdown_lifetime 0 seconds
auth_param basic program /usr/lib/squid/basic_ncsa_auth {folder}/users
auth_param basic children 1
auth_param basic credentialsttl 1 second
acl known proxy_auth REQUIRED
acl allowed dstdomain {upstream} localhost
http_access deny !CONNECT
http_access deny !allowed
http_access allow known
http_access deny all
"""
_TINYPROXY: Final = """
Port {port}
Listen 127.0.0.1
LogFile "{folder}/access.log"
LogLevel Connect
MaxClients 200
BasicAuth {user} {password}
Filter "{folder}/allowed"
FilterDefaultDeny Yes
"""


class EgressProxy:
    """A proxy that runs. Squid leads to ``UPSTREAM`` and ``localhost``, tinyproxy to ``localhost``.

    ``certificate``: squid's, and its key; clients then speak TLS with it.
    """

    def __init__(self, kind: str, folder: Path, certificate: tuple[Path, Path] | None = None) -> None:
        self.kind, self.password, self._certificate = kind, PASSWORDS[kind], certificate
        self.port = free_port()
        self._changes = 0
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, user: str = USER, password: str | None = None) -> str:
        """For ``upstream.proxy``; the password is the right one, if no other is given."""
        escaped = (password or self.password).replace("/", "%2F").replace(":", "%3A").replace("@", "%40")
        scheme = "https" if self._certificate is not None else "http"
        return f"{scheme}://{user}:{escaped}@127.0.0.1:{self.port}"

    @property
    def asked(self) -> list[str]:
        """The lines of squid's log about tunnels that it was asked for."""
        log = self.folder / "access.log"
        return [line for line in log.read_text().splitlines() if " CONNECT " in line] if log.exists() else []

    def allow(self, *users: str) -> None:
        """Has squid let in these users with the password, and no other."""
        digest = subprocess.run(
            [executable("openssl"), "passwd", "-apr1", self.password], check=True, capture_output=True, text=True
        ).stdout
        replacement = self.folder / "users.new"
        replacement.write_text("".join(f"{user}:{digest}" for user in users))
        replacement.chmod(0o644)
        self._changes += 1  # squid's helper sees a change by the second in which the file was written
        os.utime(replacement, (self._changes, self._changes))
        replacement.replace(self.folder / "users")

    def start(self) -> None:
        """Returns when it takes connections."""
        self.allow(USER)
        (self.folder / "hosts").write_text(f"127.0.0.1 {UPSTREAM} localhost\n")
        (self.folder / "allowed").write_text("^localhost$\n")
        template, *command = {
            "squid": (_SQUID, "squid", "-N", "-f"),
            "tinyproxy": (_TINYPROXY, "tinyproxy", "-d", "-c"),
        }[self.kind]
        config = self.folder / "proxy.conf"
        there = {
            "port": self.port,
            "listen": self._listen(),
            "folder": self.folder,
            "upstream": UPSTREAM,
            "user": USER,
            "password": self.password,
        }
        config.write_text(template.format(**there))
        command = [executable(command[0]), *command[1:], str(config)]
        with (self.folder / "output.log").open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        deadline = time.monotonic() + _START_WITHIN
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = "".join(each.read_text() for each in self.folder.glob("*.log"))
                raise AssertionError(f"{self.kind} does not start:\n{said}")
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    def _listen(self) -> str:
        if self._certificate is None:
            return f"http_port 127.0.0.1:{self.port}"
        for file, name in zip(self._certificate, ("cert.pem", "key.pem"), strict=True):
            (self.folder / name).write_bytes(file.read_bytes())
            (self.folder / name).chmod(0o644)
        return f"https_port 127.0.0.1:{self.port} tls-cert={self.folder}/cert.pem tls-key={self.folder}/key.pem"

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


@contextmanager
def egress_proxy(kind: str, certificate: tuple[Path, Path] | None = None) -> Iterator[EgressProxy]:
    """A squid or a tinyproxy of one's own."""
    with open_folder() as folder:
        proxy = EgressProxy(kind, folder, certificate)
        try:
            proxy.start()
            yield proxy
        finally:
            proxy.stop()
