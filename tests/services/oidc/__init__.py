"""A real OIDC provider (npm's oidc-provider), the tokens that it issues, and tokens that it would never issue."""

from __future__ import annotations

import base64
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.sdks.install import node_modules
from tests.services.ports import free_port
from tests.services.programs import executable

HERE = Path(__file__).resolve().parent
START_TIMEOUT = 60.0
AUDIENCE = "kafka"


def modules() -> Path:
    """The folder with what the provider needs, fetched the first time. Raises ``NotFetchedError``."""
    return node_modules(HERE, "oidc")


@dataclass(frozen=True)
class Client:
    """Who may have tokens, which are good for so many seconds."""

    id: str
    secret: str
    seconds: int = 3600


@dataclass
class OidcProvider:
    """``key`` signs its tokens and stays the same when it is started again."""

    folder: Path
    clients: tuple[Client, ...]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key = new_key(self.folder / "key.pem")

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token_endpoint(self) -> str:
        return f"{self.issuer}/token"

    def start(self) -> None:
        """Start, and wait until it answers."""
        if not (self.folder / "node_modules").exists():
            (self.folder / "node_modules").symlink_to(modules())
            (self.folder / "provider.mjs").write_bytes((HERE / "provider.mjs").read_bytes())
        clients = [client.__dict__ for client in self.clients]
        argument = {"port": self.port, "key": str(self.key), "audience": AUDIENCE, "clients": clients}
        with (self.folder / "output.log").open("ab") as log:
            command = [executable("node"), str(self.folder / "provider.mjs"), json.dumps(argument)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                self.jwks()
            except (urllib.error.URLError, ConnectionError):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.folder / "output.log").read_text()) from None
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """End it, if it runs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=START_TIMEOUT)
            self.process = None

    def jwks(self) -> bytes:
        """The public keys, as a broker wants them."""
        with urllib.request.urlopen(f"{self.issuer}/jwks", timeout=START_TIMEOUT) as answer:
            document: bytes = answer.read()
        return document

    def token(self, *, key: Path | None = None, **claims: Any) -> str:
        """A token that only its holder's key makes good, by default the provider's own; claims replace the usual."""
        now = int(time.time())
        usual = {"iss": self.issuer, "aud": AUDIENCE, "sub": "relay", "iat": now, "exp": now + 3600}
        return signed(key or self.key, {**usual, **claims})


def new_key(path: Path) -> Path:
    """A key for RS256, made by openssl, in a file."""
    subprocess.run(["openssl", "genrsa", "-out", str(path), "2048"], check=True, capture_output=True, timeout=60)
    return path


def signed(key: Path, claims: Mapping[str, Any]) -> str:
    """A JWT with these claims."""
    head = {"alg": "RS256", "typ": "at+jwt", "kid": "first"}
    text = b".".join(_encoded(json.dumps(part).encode()) for part in (head, claims))
    command = ["openssl", "dgst", "-sha256", "-sign", str(key)]
    signature = subprocess.run(command, input=text, check=True, capture_output=True, timeout=60).stdout
    return b".".join((text, _encoded(signature))).decode()


def _encoded(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")
