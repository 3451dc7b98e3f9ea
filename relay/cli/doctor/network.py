"""Checks over the network: the running relay, its public address, the upstream, the sinks, the clock."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit
from uuid import uuid4

from relay.cli.doctor.findings import (
    Finding,
    Status,
    judge_key,
    judge_public,
    judge_token,
    problem_code,
    skew,
)
from relay.cli.exchange import NETWORK_ERRORS, Address, address_of, exchange
from relay.core.network import UNIX, why

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.cli.check import Reached
    from relay.core.sink import SinkConfig
    from relay.settings import Settings

ANSWER_WITHIN: Final = 5.0
_READ: Final = 64 << 10
_WEBHOOKS: Final = "/webhooks/novita"


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer, and by how much this clock is ahead of its sender's, in seconds, if it had a date."""

    status: int
    body: bytes
    ahead: float | None


def get(address: Address, path: str) -> Heard:
    """One GET, within its time; no redirect is followed. Raises ``NETWORK_ERRORS``."""
    sent = time.time()
    with exchange(address, "GET", path, timeout=ANSWER_WITHIN) as response:
        received = time.time()
        return Heard(response.status, response.read(_READ), skew(response.getheader("Date"), sent, received))


def check_relay(settings: Settings) -> Finding | None:
    """Whether the relay that runs is ready; ``None``: none answers."""
    if settings.admin.port == 0 and not settings.admin.host.startswith(UNIX):
        message = "admin.port is 0, so the doctor cannot find a running relay"
        return Finding("relay", "warning", message, "Set a port.", "no_address")
    try:
        address = address_of(settings.admin)
        heard = get(address, "/readyz")
        document = json.loads(heard.body)
        ready, reasons = document["status"] == "ready", [str(reason) for reason in document["reasons"]]
    except NETWORK_ERRORS:
        return None
    except (ValueError, TypeError, KeyError):
        message = f"something other than relay answers at {address.parts.geturl()}"
        return Finding("relay", "failed", message, "Choose another admin.port, or stop what uses it.", "not_a_relay")
    if not ready:
        message = f"runs, but is not ready: {', '.join(reasons)}"
        return Finding("relay", "failed", message, "See docs/runbook.md for each of them.", "not_ready")
    return Finding("relay", "ok", "runs, and is ready")


def check_webhooks(settings: Settings, *, running: bool) -> tuple[Finding | None, float | None]:
    """Whether ``server.public_url`` leads to this relay, and this clock's lead over the one there.

    The first request has no token: only a relay that asks for one is shown it, and then on a way that nobody overhears.
    Neither is a delivery.
    """
    url = settings.server.public_url
    if url is None:
        return None, None
    try:
        heard = get(Address(urlsplit(url)), _WEBHOOKS)
        found = judge_public(url, heard.status, problem_code(heard.body))
        if found is None:
            found = _with_token(url, settings)
    except NETWORK_ERRORS as error:
        reason = "" if running else " relay does not run here at the moment: start it and try again."
        hint = f"Check server.public_url, DNS, and the proxy in front of relay.{reason}"
        return Finding("webhooks", "failed", f"{url} cannot be reached: {why(error)}", hint, "public_unreachable"), None
    return found, heard.ahead


def _with_token(url: str, settings: Settings) -> Finding:
    from relay.settings.values import is_loopback_host

    tokens = settings.webhooks.novita.tokens
    parts = urlsplit(url)
    if not tokens:
        hint = "Is that another relay?"
        return Finding("webhooks", "failed", f"{url} asks for a token, and none is configured", hint, "token_refused")
    # In clear text everybody on the way would read the token.
    if parts.scheme != "https" and not is_loopback_host(parts.hostname or ""):
        return Finding("webhooks", "ok", f"{url} leads to a relay (no token was shown in clear text)")
    heard = get(Address(urlsplit(url)), f"{_WEBHOOKS}/{quote(tokens[0].get_secret_value(), safe='')}")
    return judge_token(url, problem_code(heard.body))


async def check_upstream(settings: Settings) -> tuple[list[Finding], float | None]:
    """A poll for a task that nobody has, which is free and needs the key; and this clock's lead over that there."""
    from relay.cli.doctor.upstream import ask
    from relay.core.tasks.reconcile import PollAnswer, result_of

    base_url, key = settings.upstream.base_url, settings.upstream_key
    headers = [(b"Accept", b"application/json"), *([(b"Authorization", f"Bearer {key}".encode())] if key else [])]
    target = f"/v3/async/task-result?task_id=relay-doctor-{uuid4().hex}"
    way = await ask(settings.upstream, "GET", target, headers, within=ANSWER_WITHIN)
    if way.status is None:
        message = f"{base_url} cannot be reached: {way.failure.rstrip('.')}"
        return [*way.findings(), Finding("upstream", "failed", message, way.hint, way.code)], None
    result = result_of(PollAnswer(way.status, way.body, None), None)
    due = way.due(time.time())
    return [*way.findings(), judge_key(result, base_url, with_key=key is not None), *([due] if due else [])], way.ahead


async def check_sink(settings: Settings, config: SinkConfig) -> list[Finding]:
    """Opens it as the check does: that needs its topics, its rights, its scripts or its transactions."""
    from relay.cli.check import CHECK_SUFFIX, reach_sink
    from relay.core.sink import Identity

    reached = await reach_sink(config, Identity(settings.identity_name + CHECK_SUFFIX, uuid4().hex))
    return _findings(reached)


async def check_index(login: Mapping[str, str]) -> list[Finding]:
    """The index that replicas share."""
    from relay.cli.check import reach_index

    return _findings(await reach_index(login))


async def check_archive(url: str, options: Mapping[str, str]) -> list[Finding]:
    """The store of outputs."""
    from relay.cli.check import reach_archive

    return _findings(await reach_archive(url, options))


def _findings(reached: Reached) -> list[Finding]:
    status: Status = "ok" if reached.ok else "failed"
    advice = [Finding(reached.name, "warning", each.message, each.hint, each.code) for each in reached.advice]
    steps = [Finding(reached.name, "ok", f"{passed.step}: {passed.message}") for passed in reached.steps]
    return [*steps, Finding(reached.name, status, reached.message or "", reached.hint or "", reached.code), *advice]
