"""What a Kafka sink logs in with, in files that somebody changes: good ones, and one that the broker refuses."""

from __future__ import annotations

import itertools
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.services.guarded_kafka import ACCESS_KEY, BRIEF, ENDS_AFTER, NOWHERE_ELSE, SECRET_KEY, GuardedKafka
from tests.services.sts import Sts, identity


@dataclass(frozen=True)
class Rotation:
    """``keys``: of the sink. ``rotate`` makes new credentials the only good ones; ``spoil`` leaves a wrong one.

    ``principal``: whom the broker takes relay for. ``code`` and ``says``: how relay reports the wrong one.
    ``logged_in``: how it names its login where a right is missing.
    """

    keys: dict[str, Any]
    rotate: Callable[[], None]
    spoil: Callable[[], None]
    principal: str
    code: str
    says: str
    logged_in: str


Begin = Callable[[GuardedKafka, Path, Sts, pytest.MonkeyPatch], Rotation]


def plain(guarded: GuardedKafka, folder: Path, _sts: Sts, _patch: pytest.MonkeyPatch) -> Rotation:
    """A password in clear text, of which the broker knows one only."""
    return _password(guarded, folder, "PLAIN", guarded.set_plain)


def scram(guarded: GuardedKafka, folder: Path, _sts: Sts, _patch: pytest.MonkeyPatch) -> Rotation:
    """A password that never crosses the network."""
    return _password(guarded, folder, "SCRAM-SHA-512", guarded.set_scram)


def _password(guarded: GuardedKafka, folder: Path, mechanism: str, change: Callable[[str, str], None]) -> Rotation:
    turns, file = itertools.count(), folder / "word"

    def rotate() -> None:
        word = f"word-{next(turns)}"
        change("rotated", word)
        file.write_text(word)

    keys = guarded.password("rotated", "", mechanism) | {"sasl_plain_password_file": str(file)}
    del keys["sasl_plain_password"]
    says, named = f"the login by {mechanism}", f"(User:rotated, logged in by {mechanism})"
    return Rotation(keys, rotate, lambda: _write(file, "wr0ng-word"), "User:rotated", "authentication", says, named)


def client_secret(guarded: GuardedKafka, folder: Path, _sts: Sts, _patch: pytest.MonkeyPatch) -> Rotation:
    """A client's secret at the provider of tokens, which are good for seconds."""
    turns, file, provider = itertools.count(), folder / "secret", guarded.provider

    def rotate() -> None:
        secret = f"secret-{next(turns)}"
        others = tuple(client for client in provider.clients if client.id != BRIEF.id)
        provider.stop()
        provider.clients = (*others, replace(BRIEF, secret=secret))
        provider.start()
        file.write_text(secret)

    keys = guarded.oauth(BRIEF) | {"sasl_oauthbearer_client_secret_file": str(file)}
    del keys["sasl_oauthbearer_client_secret"]
    says = "No token for OAUTHBEARER"
    return Rotation(
        keys, rotate, lambda: _write(file, "wr0ng"), f"User:{BRIEF.id}", "authentication", says, _bearer("OAUTHBEARER")
    )


def token_file(guarded: GuardedKafka, folder: Path, _sts: Sts, _patch: pytest.MonkeyPatch) -> Rotation:
    """A token that somebody renews, such as a kubelet; each ends soon after the next one is there."""
    turns, file = itertools.count(), folder / "token"

    def rotate() -> None:
        ends = int(time.time()) + 4 * ENDS_AFTER
        _write(file, guarded.provider.token(jti=str(next(turns)), exp=ends))

    def spoil() -> None:
        _write(file, guarded.provider.token(exp=int(time.time()) - 60))

    keys = guarded.token("") | {"sasl_oauthbearer_token_file": str(file)}
    del keys["sasl_oauthbearer_token"]
    return Rotation(
        keys, rotate, spoil, "User:relay", "authentication", "the login by OAUTHBEARER", _bearer("OAUTHBEARER")
    )


def certificate(guarded: GuardedKafka, folder: Path, _sts: Sts, _patch: pytest.MonkeyPatch) -> Rotation:
    """A certificate and its key, which change together, as Kubernetes does it: by a link to another folder."""
    turns, link = itertools.count(), folder / "tls"

    def issue(days: int) -> None:
        made = folder / f"tls-{next(turns)}"
        made.mkdir()
        for file, name in zip(guarded.authority.issue("rotated", days), ("cert.pem", "key.pem"), strict=True):
            shutil.copy(file, made / name)
        (folder / "next").symlink_to(made)
        os.replace(folder / "next", link)

    keys = guarded.certificate(link / "cert.pem", link / "key.pem")
    return Rotation(
        keys,
        lambda: issue(2),
        lambda: issue(0),
        "User:CN=rotated",
        "tls_failed",
        "relay's certificate",
        "(the principal of its certificate)",
    )


def web_identity(guarded: GuardedKafka, folder: Path, sts: Sts, patch: pytest.MonkeyPatch) -> Rotation:
    """IAM with the role of a service account: AWS's library shows a token to STS, which kubelet renews in a file."""
    turns, file = itertools.count(), folder / "identity"
    for name, value in {**identity(file, sts), **NOWHERE_ELSE}.items():
        patch.setenv(name, value)

    def rotate() -> None:
        sts.token = f"identity-{next(turns)}"
        _write(file, sts.token)

    says = "No token for AWS_MSK_IAM"
    return Rotation(
        guarded.iam(),
        rotate,
        lambda: _write(file, "wr0ng"),
        f"User:{ACCESS_KEY}",
        "authentication",
        says,
        _bearer("AWS_MSK_IAM"),
    )


def _bearer(mechanism: str) -> str:
    return f"(the principal of its token, logged in by {mechanism})"


KEY = (ACCESS_KEY, SECRET_KEY)
"""What STS gives out."""


def _write(file: Path, text: str) -> None:
    """Replaces it at once, so that nobody reads half of it."""
    new = file.with_suffix(".new")
    new.write_text(text)
    os.replace(new, file)
