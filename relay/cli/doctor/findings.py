"""What measurements mean for relay, and what must be fixed. Pure."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal

from relay.core.certificates import Validity

Status = Literal["ok", "warning", "failed"]

WEBHOOK_TIMEOUT: Final = 5.0
"""Seconds in which Novita wants its answer (https://novita.ai/docs/api-reference/model-apis-webhook)."""
SLOW_FSYNC: Final = 0.5
"""Seconds of the slowest hundredth from which the alert RelayFsyncSlow fires, too."""
BAD_FSYNC: Final = WEBHOOK_TIMEOUT / 2
"""A delivery may have to wait for the commit under way and then for its own."""
LITTLE_SPACE: Final = 64 << 20
NOTABLE_SKEW: Final = 2.0
"""Seconds; ``Date`` is precise to one."""
BAD_SKEW: Final = 60.0
NOTABLE_JUMP: Final = 0.5
SPARE_DESCRIPTORS: Final = 1024
"""For the admin listener, journal, sinks, upstream and log, beside the connections of the main listener."""
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. ``hint`` says what to fix; ``measured`` holds the figures behind it."""

    check: str
    status: Status
    message: str
    hint: str = ""
    code: str | None = None
    measured: Mapping[str, Any] = field(default_factory=dict)


def judge_disk(p50: float, p99: float, samples: int) -> Finding:
    """Of fsyncs on the journal's volume, in seconds: every 2xx to a webhook waits for at least one."""
    figures = {"fsync_p50_seconds": round(p50, 6), "fsync_p99_seconds": round(p99, 6), "samples": samples}
    message = f"an fsync takes {p50 * 1000:.1f} ms, the slowest of a hundred {p99 * 1000:.1f} ms"
    hint = "Put journal.path on a local SSD, not on a network file system or a disk that others keep busy."
    if p99 >= BAD_FSYNC:
        why = f"webhooks are repeated after {WEBHOOK_TIMEOUT:g} s"
        return Finding("disk", "failed", f"{message}: too slow, {why}", hint, "disk_too_slow", figures)
    if p99 >= SLOW_FSYNC:
        return Finding("disk", "warning", f"{message}: slow for webhooks", hint, "disk_slow", figures)
    return Finding("disk", "ok", message, measured=figures)


def judge_space(free: int, room: int) -> Finding:
    """Of a volume, in bytes: ``room`` is what the journal may still grow by."""
    figures = {"free_bytes": free, "may_grow_by_bytes": room}
    message = f"{free // _MIB} MiB are free on the journal's volume"
    if free < LITTLE_SPACE:
        return Finding(
            "space", "failed", message, "Make room: a full disk refuses every webhook.", "disk_full", figures
        )
    if free < room:
        hint = "Make room, or lower journal.max_size: a full disk refuses every webhook."
        message = f"{message}, and the journal may grow by {room // _MIB} MiB (journal.max_size)"
        return Finding("space", "warning", message, hint, "space_short", figures)
    return Finding("space", "ok", message, measured=figures)


def judge_descriptors(limit: int, connections: int) -> Finding:
    """``limit`` is what a process may open, ``connections`` what ``server.max_connections`` allows."""
    needed = connections + SPARE_DESCRIPTORS
    figures = {"limit": limit, "needed": needed}
    if limit < needed:
        return Finding(
            "descriptors",
            "warning",
            f"{limit} files may be open here, and {connections} connections (server.max_connections) need {needed}",
            f"Raise the limit (ulimit -n {needed}, LimitNOFILE= in systemd), or lower server.max_connections.",
            "descriptors_short",
            figures,
        )
    return Finding("descriptors", "ok", f"{limit} files may be open here", measured=figures)


def skew(date: str | None, sent: float, received: float) -> float | None:
    """How many seconds this clock is ahead of the one behind a ``Date`` header; 0 where it may be right.

    ``sent`` and ``received`` are this clock's epoch seconds around the exchange. The header is cut to whole seconds
    (RFC 9110, 5.6.7): the other clock read something from ``date`` to a second later. ``None``: there is no header.
    """
    try:
        theirs = parsedate_to_datetime(date or "").timestamp()
    except (ValueError, OverflowError):
        return None
    least, most = sent - (theirs + 1.0), received - theirs
    return 0.0 if least <= 0.0 <= most else least if least > 0.0 else most


def judge_certificate(name: str, validity: Validity, now: float, hint: str) -> Finding:
    """How long a certificate is valid. ``now``: epoch seconds; ``hint``: what renews it."""
    figures = {"not_before": validity.begins, "not_after": validity.ends}
    last, left = _day(validity.ends), validity.ends - now
    if left <= 0:
        return Finding(name, "failed", f"its certificate ended on {last}", hint, "certificate_expired", figures)
    if validity.begins > now:
        message = f"its certificate is not valid before {_day(validity.begins)}"
        return Finding(name, "failed", message, "Check this machine's clock.", "certificate_not_yet_valid", figures)
    if validity.is_due(now):
        message = f"its certificate ends in {left / 86_400:.1f} days, on {last}"
        return Finding(name, "warning", message, hint, "certificate_ends_soon", figures)
    return Finding(name, "ok", f"its certificate is valid until {last}", measured=figures)


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))


def judge_clock(ahead: float | None, source: str) -> Finding:
    """``ahead`` is this clock's lead in seconds over that of ``source``; ``None``: no answer had a date."""
    if ahead is None:
        message = "could not be compared (no answer had a Date header)"
        return Finding(
            "clock", "warning", message, "Check by hand that it is synchronized: timedatectl.", "clock_unknown"
        )
    figures = {"skew_seconds": round(ahead, 3), "source": source}
    if abs(ahead) < NOTABLE_SKEW:
        return Finding("clock", "ok", f"agrees with that of {source}", measured=figures)
    message = f"is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} that of {source}"
    hint = "Synchronize it (chrony, systemd-timesyncd): signatures, expiry times and the times of events depend on it."
    return Finding("clock", "failed" if abs(ahead) >= BAD_SKEW else "warning", message, hint, "clock_skew", figures)


def judge_steadiness(wall: float, monotonic: float) -> Finding | None:
    """Seconds that passed by both clocks of this machine; ``None``: they agree."""
    if abs(wall - monotonic) < NOTABLE_JUMP:
        return None
    return Finding(
        "clock",
        "warning",
        f"was set by {wall - monotonic:+.1f} s during the check",
        "Find out what sets it, and have it slewed, not stepped.",
        "clock_jumped",
        {"jump_seconds": round(wall - monotonic, 3)},
    )


def problem_code(body: bytes) -> str | None:
    """The code of a relay's problem document; ``None``: it is not one."""
    try:
        document = json.loads(body)
    except ValueError:
        return None
    if not isinstance(document, dict) or not str(document.get("type", "")).startswith("urn:relay:problem:"):
        return None
    return str(document.get("code"))


def judge_public(url: str, status: int, code: str | None) -> Finding | None:
    """The answer to a request without a token; ``None``: a relay that asks for one. ``code`` is the problem's."""
    # Senders of webhooks count a 3xx as a failure: none of them follows it with the body.
    if 300 <= status < 400:
        message = f"{url} redirects (HTTP {status}), which webhook senders treat as a failure"
        return Finding(
            "webhooks", "failed", message, "Set server.public_url to the target of the redirect.", "redirected"
        )
    if code is None:
        message = f"{url} answers, but it is not relay (HTTP {status})"
        hint = "Make the server there forward /webhooks to relay, or correct server.public_url."
        return Finding("webhooks", "failed", message, hint, "not_a_relay", {"status": status})
    return None if code == "unauthorized" else _judge_admitted(url, code)


def judge_token(url: str, code: str | None) -> Finding:
    """The answer to a GET with the token: a relay that knows it has nothing against it but the method."""
    if code == "unauthorized":
        message = f"{url} leads to a relay that does not accept the first of webhooks.novita.tokens"
        hint = "Is it another relay, or one that has not reloaded its configuration (SIGHUP)?"
        return Finding("webhooks", "failed", message, hint, "token_refused")
    return _judge_admitted(url, code)


def _judge_admitted(url: str, code: str | None) -> Finding:
    if code == "method_not_allowed":
        return Finding("webhooks", "ok", f"{url} leads to this relay's webhooks")
    if code in ("forbidden_address", "forbidden_origin"):
        hint = "Without a token only this machine may deliver; with webhooks.novita.allow_from, only those addresses."
        return Finding("webhooks", "warning", f"{url} leads to a relay that refuses this address", hint, code)
    return Finding("webhooks", "failed", f"{url} leads to a relay that answers {code}", "See its log.", code)


def judge_key(result: str, base_url: str, *, with_key: bool) -> Finding:
    """What a poll for a task that does not exist brought (a result of ``relay.core.tasks.reconcile``)."""
    if result == "unauthorized" and with_key:
        message = f"{base_url} refuses the key"
        return Finding("upstream", "failed", message, "Set upstream.api_key to a valid key.", "key_refused")
    if result == "unauthorized":
        message = f"{base_url} answers, but polls have no key and are refused"
        hint = "Set upstream.api_key if relay should follow tasks; chats and submissions bring their own keys."
        return Finding("upstream", "warning", message, hint, "no_key")
    if result in ("unknown_task", "refused", "succeeded", "failed", "running"):
        return Finding("upstream", "ok", f"{base_url} answers{' and takes the key' if with_key else ''}")
    return Finding(
        "upstream",
        "warning",
        f"{base_url} answers, but the answer does not show whether the key is valid ({result})",
        "Try again later, and check that this is the upstream's address.",
        result,
    )
