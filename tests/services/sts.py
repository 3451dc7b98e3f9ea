"""AWS's STS on loopback, as far as a service account of EKS needs it: a role for a token, if that is the right one.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

ROLE: Final = "arn:aws:iam::123456789012:role/relay"


def identity(file: Path, sts: Sts) -> dict[str, str]:
    """The variables that EKS gives to a pod whose service account has a role, and where to find STS."""
    named = {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(file), "AWS_REGION": "eu-west-1"}
    return {**named, "AWS_ENDPOINT_URL_STS": sts.url}


_GRANTED = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{access}</AccessKeyId>
<SecretAccessKey>{secret}</SecretAccessKey><SessionToken>a/session+token==</SessionToken>
<Expiration>{ends}</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""
_REFUSED = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>ExpiredTokenException</Code><Message>Token expired</Message></Error></ErrorResponse>"""


class Sts(ThreadingHTTPServer):
    """Gives out one key, for ``token`` and ``ROLE`` only. ``token`` may change at any time."""

    daemon_threads = True

    def __init__(self, access: str, secret: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.key = (access, secret)
        self.token = ""
        self.granted: list[str] = []
        """The tokens that were shown and accepted, in their order."""
        self.refused = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Sts

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        asked = [form.get(name, [""])[0] for name in ("Action", "RoleArn", "WebIdentityToken")]
        good = asked == ["AssumeRoleWithWebIdentity", ROLE, self.server.token]
        self.server.granted += [self.server.token] if good else []
        self.server.refused += not good
        access, secret = self.server.key
        ends = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = (_GRANTED.format(access=access, secret=secret, ends=ends) if good else _REFUSED).encode()
        self.send_response(200 if good else 400)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def running_sts(access: str, secret: str) -> Iterator[Sts]:
    """One that is ended in the end."""
    with Sts(access, secret) as sts:
        serving = threading.Thread(target=sts.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            yield sts
        finally:
            sts.shutdown()
            serving.join()
