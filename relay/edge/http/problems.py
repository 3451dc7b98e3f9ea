"""The status, code and hint of each refusal, such as the 503 for a full disk: problems as in RFC 9457.

No problem here is a redirection or a 410: a webhook sender takes the first for a failure of another kind and the
second for "stop for good" (promise P1). Each 503 carries ``Retry-After``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import orjson

from relay.core.errors import RelayError

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_SECONDS = 5
"""What a sender is asked to wait at least: Novita's attempts are few, a handful, so the wait is kept short."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem: its HTTP status, a title that never varies, and what to do about it."""

    status: int
    title: str
    hint: str


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "bad_request": Kind(400, "The request is not valid", "Fix what the detail names and send it again."),
        "not_json": Kind(400, "The body is not one JSON document", "Send a JSON body in UTF-8, without a BOM."),
        "unauthorized": Kind(401, "A valid token is required", "Use a token that is configured for this route."),
        "missing_signature": Kind(
            401, "The delivery is not signed", "Send webhook-id, webhook-timestamp and webhook-signature."
        ),
        "bad_timestamp": Kind(401, "The timestamp cannot be read", "Send webhook-timestamp as whole epoch seconds."),
        "stale_timestamp": Kind(
            401,
            "The timestamp is too far from the current time",
            "Sign each attempt again, and keep both clocks synchronized.",
        ),
        "bad_signature": Kind(
            401, "The signature does not match", "Sign the raw body with a secret that is configured here."
        ),
        "forbidden_address": Kind(
            403,
            "The address may not use this route",
            "Configure a token, or allow the address; behind a proxy, list the proxy under server.trusted_proxies.",
        ),
        "forbidden_origin": Kind(
            403,
            "Requests from other web sites are not accepted",
            "Use the listener's own loopback address, or configure a token for this route.",
        ),
        "wrong_task": Kind(
            403,
            "The address belongs to another task",
            "Deliver each result to the address in its own submission.",
        ),
        "model_not_allowed": Kind(
            403, "The client may not use this model", "Ask the operator to add the model under proxy.clients."
        ),
        "not_found": Kind(404, "Not found", "Check the path and the id."),
        "method_not_allowed": Kind(405, "The method is not allowed", "Use a method from the Allow header."),
        "header_timeout": Kind(
            408, "The request headers did not arrive in time", "Send all headers at once, and try again."
        ),
        "body_timeout": Kind(408, "The body did not arrive in time", "Send the whole body at once, and try again."),
        "not_replayable": Kind(
            409, "The dead letter cannot be replayed yet", "Read its reason; replay it after an upgrade, or delete it."
        ),
        "not_retriable": Kind(
            409, "The output cannot be tried again", "See its state with relay outputs list, and archive.url."
        ),
        "payload_too_large": Kind(413, "The body is too large", "Send less, or raise the limit that the detail names."),
        "unsupported_encoding": Kind(415, "Encoded bodies are not accepted", "Send the body without Content-Encoding."),
        "too_many_chats": Kind(
            429, "The client has too many open chats", "Wait for one to end, or raise max_concurrent."
        ),
        "rate_limited": Kind(
            429,
            "The client has used up a limit of its own",
            "Try again after the time in Retry-After; the operator may raise the limit under proxy.clients.",
        ),
        "head_too_large": Kind(
            431,
            "The request headers are too large",
            "Send fewer or shorter headers: at most 64 KiB together and 8190 bytes each.",
        ),
        "internal": Kind(500, "Internal error", "Try again; if it happens again, see the relay's log."),
        "unsupported_transfer_coding": Kind(
            501,
            "The transfer coding is not supported",
            "Send the body with a Content-Length, or with chunked only.",
        ),
        "upstream_unreachable": Kind(502, "The upstream cannot be reached", "Try again; check upstream.base_url."),
        "submission_outcome_unknown": Kind(
            502,
            "The upstream may or may not have accepted the task",
            "Do not submit it again blindly, you may pay twice: look for its result first.",
        ),
        "upstream_reset": Kind(502, "The upstream closed the connection", "Try again; check upstream.base_url."),
        "journal_unavailable": Kind(
            503, "The journal cannot commit", "Try again; the operator should check the disk and its free space."
        ),
        "journal_stalled": Kind(
            503,
            "The journal's disk does not answer",
            "Try again; the retry is a duplicate if the first is still written. The operator should check the disk.",
        ),
        "journal_busy": Kind(
            503, "Too much data waits for the journal's disk", "Try again; the operator should use a faster disk."
        ),
        "backlog_full": Kind(503, "Too many events wait for a sink", "Try again; the operator should check the sinks."),
        "overloaded": Kind(503, "The relay is overloaded", "Try again after the time in Retry-After."),
        "too_many_consumers": Kind(
            503,
            "Too many consumers read events",
            "Try again after the time in Retry-After, or raise server.max_consumers.",
        ),
        "draining": Kind(
            503,
            "The relay is draining or shutting down",
            "Try again: another replica may answer, or this one after its restart.",
        ),
        "upstream_timeout": Kind(504, "The upstream did not answer in time", "Try again."),
    }
)
"""Every code that a client can meet; the codes are stable, their texts may be improved."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A refusal, ready to be sent. ``headers`` include the content type."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def problem(status: int, code: str, title: str, detail: str = "", hint: str = "") -> bytes:
    """An RFC 9457 problem document, with the extension members ``code`` and ``hint``.

    ``type`` is a URN made of the code and not ``about:blank``, which would say no more than the status (4.2.1).
    ``detail`` and ``hint`` are left out where they are empty. Neither may hold a secret.
    """
    document: dict[str, str | int] = {
        "type": f"urn:relay:problem:{code}",
        "title": title,
        "status": status,
        "code": code,
    }
    if detail:
        document["detail"] = detail
    if hint:
        document["hint"] = hint
    return orjson.dumps(document)


def answer(
    code: str,
    detail: str = "",
    *,
    hint: str = "",
    allow: Sequence[str] = (),
    retry_after: int = RETRY_AFTER_SECONDS,
) -> Answer:
    """The refusal with this code. ``hint`` replaces the usual one; ``allow`` lists the methods beside a 405;
    ``retry_after`` are the seconds beside a 429 or a 503.

    Raises ``KeyError`` for a code that is not in ``KINDS``: it would be in no document.
    """
    kind = KINDS[code]
    body = problem(kind.status, code, kind.title, detail, hint or kind.hint)
    return Answer(kind.status, body, {"Content-Type": PROBLEM_JSON, **_headers(kind.status, allow, retry_after)})


def answer_to(error: RelayError) -> Answer:
    """The refusal that stands for an error: under its own code, or ``internal`` where clients do not know the code.

    An error that clients do not know is not described to them either: it goes to the log.
    """
    if error.code not in KINDS:
        return answer("internal")
    return answer(error.code, error.message, hint=error.hint)


class ProblemError(Exception):
    """Ends a request with the answer to this problem. Raises ``KeyError`` for a code that is not in ``KINDS``."""

    def __init__(
        self, code: str, detail: str = "", allow: Sequence[str] = (), retry_after: int = RETRY_AFTER_SECONDS
    ) -> None:
        super().__init__(code)
        self.code, self.detail, self.allow, self.retry_after = code, detail, allow, retry_after
        self.answer = answer(code, detail, allow=allow, retry_after=retry_after)


def journal_code(error: BaseException) -> str:
    """The code under which clients hear why the journal accepts nothing."""
    code = error.code if isinstance(error, RelayError) else ""
    return code if code in ("backlog_full", "journal_stalled", "journal_busy") else "journal_unavailable"


def shaped_answer(
    body_of: Callable[[int, str, str], bytes],
    code: str,
    detail: str = "",
    *,
    hint: str = "",
    allow: Sequence[str] = (),
    retry_after: int = RETRY_AFTER_SECONDS,
) -> Answer:
    """``answer`` in an API's own shape: ``body_of`` makes it of status, code and message.

    Those shapes have no place for a hint, so it follows the message. Raises ``KeyError`` for a code that is not in
    ``KINDS``.
    """
    kind = KINDS[code]
    message = f"{detail or kind.title + '.'} {hint or kind.hint}"
    body = body_of(kind.status, code, message)
    return Answer(kind.status, body, {"Content-Type": "application/json", **_headers(kind.status, allow, retry_after)})


def _headers(status: int, allow: Sequence[str], retry_after: int) -> dict[str, str]:
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="relay"'  # RFC 9110, 15.5.2: a 401 must carry a challenge
    if status == 405:
        headers["Allow"] = ", ".join(allow)  # RFC 9110, 15.5.6: so must a 405, even if it is empty
    if status in (429, 503):
        headers["Retry-After"] = str(retry_after)
    return headers
