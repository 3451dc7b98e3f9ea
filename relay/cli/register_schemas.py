"""``relay register-schemas``: the events' schemas in a Confluent-compatible schema registry.

API: https://docs.confluent.io/platform/current/schema-registry/develop/api.html. The relay itself never asks a registry
for anything: one that is away stops no event.
"""

from __future__ import annotations

import base64
import json as json_text
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from relay.cli import options
from relay.cli.connection import read_token
from relay.cli.exchange import NETWORK_ERRORS, exchange, parts_of
from relay.cli.output import write_json
from relay.cli.table import write_table
from relay.core.errors import RelayError
from relay.core.network import why

ANSWER_WITHIN: Final = 30.0
"""Seconds for each answer: comparing a schema with all versions before it takes a registry its time."""

_MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_UNKNOWN: Final = 404
DEFAULT_PREFIX: Final = "relay."


class Compatibility(StrEnum):
    """How a registry compares a new version of a subject with those before it, in Confluent's words."""

    NONE = "NONE"
    BACKWARD = "BACKWARD"
    BACKWARD_TRANSITIVE = "BACKWARD_TRANSITIVE"
    FORWARD = "FORWARD"
    FORWARD_TRANSITIVE = "FORWARD_TRANSITIVE"
    FULL = "FULL"
    FULL_TRANSITIVE = "FULL_TRANSITIVE"


OURS: Final = Compatibility.FORWARD_TRANSITIVE
"""Consumers of any older version can read new events (docs/contract.md): fields may come, none goes or changes."""

LEVELS: Final = ", ".join(Compatibility)

Url = Annotated[
    str, typer.Argument(metavar="URL", envvar="RELAY_SCHEMA_REGISTRY_URL", help="The registry, like http://host:8081.")
]
Username = Annotated[
    str | None, typer.Option(metavar="NAME", envvar="RELAY_SCHEMA_REGISTRY_USERNAME", help="For basic authentication.")
]
PasswordFile = Annotated[Path | None, typer.Option(metavar="FILE", help="A file that holds the password.")]
Prefix = Annotated[str, typer.Option(metavar="TEXT", help="Prefix of the schema's name in each subject.")]
Level = Annotated[
    Compatibility, typer.Option(metavar="LEVEL", help=f"Compatibility level for later versions: {LEVELS}.")
]
Check = Annotated[bool, typer.Option("--check", help="Change nothing; report what the registry would accept.")]


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of one subject: ``known`` was there, ``new`` was registered or, when checking, would be."""

    subject: str
    result: str
    id: int | None


def register_schemas(
    url: Url,
    username: Username = None,
    password_file: PasswordFile = None,
    prefix: Prefix = DEFAULT_PREFIX,
    compatibility: Level = OURS,
    check: Check = False,
    json: options.Json = False,
) -> None:
    """Register the event schemas with a schema registry.

    Each kind of data gets its own subject. Running it again changes nothing. If the registry refuses a schema as
    incompatible with earlier versions, the schemas before it stay registered.
    """
    from relay.contract.schemas import subjects

    password = None if password_file is None else read_token(password_file)
    registry = Registry(url, username, password)
    found = [registry.place(subject, text, compatibility, check=check) for subject, text in subjects(prefix).items()]
    if json:
        write_json({"registered": [asdict(each) for each in found]})
    else:
        write_table(("SUBJECT", "RESULT", "ID"), [(each.subject, each.result, each.id) for each in found])


class Registry:
    """One registry. Raises ``typer.BadParameter`` for an invalid address; all else comes out as ``RelayError``."""

    def __init__(self, url: str, username: str | None = None, password: str | None = None) -> None:
        try:
            parts = parts_of(url, "http://host:8081")
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="'URL'") from None
        if parts.username or parts.password:
            hint = "others see it in the list of processes: use --username and --password-file"
            raise typer.BadParameter(f"must hold no password; {hint}", param_hint="'URL'")
        self._url, self._parts = url.rstrip("/"), parts
        self._headers = {"Content-Type": _MEDIA_TYPE, "Accept": f"{_MEDIA_TYPE}, application/json"}
        if username is not None:
            credentials = base64.b64encode(f"{username}:{password or ''}".encode()).decode()
            self._headers["Authorization"] = f"Basic {credentials}"

    def place(self, subject: str, schema: str, level: Compatibility, *, check: bool) -> Registered:
        """Registers a schema under a subject, unless it is there, and has the subject held to a level from now on."""
        document = {"schemaType": "JSON", "schema": schema}
        path = "/subjects/" + quote(subject, safe="")
        known = self._ask("POST", path, document, missing=True)
        if check:
            if known is None and self._ask("GET", path + "/versions", missing=True) is not None:
                self._compare(subject, document)
            return Registered(subject, "new" if known is None else "known", None if known is None else known["id"])
        answer = known or self._ask("POST", path + "/versions", document)
        config = "/config/" + quote(subject, safe="")
        held = self._ask("GET", config, missing=True) or {}
        if held.get("compatibilityLevel") != level:
            self._ask("PUT", config, {"compatibility": level.value})
        return Registered(subject, "new" if known is None else "known", answer["id"])

    def _compare(self, subject: str, document: Mapping[str, str]) -> None:
        path = f"/compatibility/subjects/{quote(subject, safe='')}/versions/latest?verbose=true"
        answer = self._ask("POST", path, document)
        if not answer.get("is_compatible"):
            reasons = answer.get("messages") or [answer.get("reason")]
            raise _incompatible(subject, "; ".join(str(reason) for reason in reasons if reason))

    def _ask(self, method: str, path: str, document: object = None, *, missing: bool = False) -> Any:
        """The registry's answer as JSON; ``None`` where ``missing`` is allowed, and it knows nothing of it."""
        body = None if document is None else json_text.dumps(document).encode()
        status, raw = self._exchange(method, path, body)
        try:
            answer = json_text.loads(raw)
        except ValueError:
            answer = None
        # Without a registry's own error code a 404 comes from something else, such as a proxy with another path.
        if status == _UNKNOWN and missing and isinstance(answer, dict) and "error_code" in answer:
            return None
        if status >= 300 or answer is None:
            raise self._refusal(status, answer, path)
        return answer

    def _exchange(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        try:
            with exchange(self._parts, method, path, body, self._headers, timeout=ANSWER_WITHIN) as response:
                return response.status, response.read()
        except NETWORK_ERRORS as error:
            raise RelayError(
                "registry_unreachable",
                f"The registry at {self._url} cannot be reached: {why(error)}.",
                hint="Check the address and the network; nothing else of relay needs the registry.",
                retriable=True,
            ) from None

    def _refusal(self, status: int, answer: Any, path: str) -> RelayError:
        said = str(answer.get("message", "")) if isinstance(answer, dict) else ""
        if status in (401, 403):
            message = f"The registry at {self._url} does not allow this user to do it (HTTP {status})."
            return RelayError("registry_forbidden", message, hint="Check --username and --password-file.")
        if status == 409:
            return _incompatible(path.split("/")[2], said)
        if not isinstance(answer, dict):
            message = f"{self._url} answered {status}, but not as a schema registry does."
            return RelayError("not_a_registry", message, hint="Apicurio's address ends in /apis/ccompat/v7.")
        message = f"The registry at {self._url} answered {status} to {path}: {said or 'without a reason'}."
        return RelayError("registry_failed", message, hint="See the registry's log.", retriable=status >= 500)


def _incompatible(subject: str, said: str) -> RelayError:
    return RelayError(
        "incompatible_schema",
        f"The registry refuses the schema of {subject} as incompatible with an earlier version: {said}",
        hint="Does the subject belong to another relay? --prefix gives these subjects names of their own.",
    )
