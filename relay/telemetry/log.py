"""The log: for people on a terminal, one JSON object per line otherwise. No secret, no flood."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Callable
from typing import Literal

import orjson
import structlog
from structlog.typing import EventDict, Processor

from relay.core.conceal import Concealed
from relay.core.redact import scrub_text

LogFormat = Literal["auto", "console", "json"]

_LEVELS = {name.lower(): number for name, number in logging.getLevelNamesMapping().items()}
_least = logging.INFO
_concealed = Concealed()
_NOISY = ("aiokafka", "aiohttp", "asyncio", "opentelemetry", "redis", "urllib3")


class LogRateLimiter:
    """Lets a few lines of a kind through per second, so that a sender of rubbish does not fill the disk with logs."""

    __slots__ = ("_clock", "_lines", "_logged", "_suppressed", "_until")

    def __init__(self, lines: int = 5, clock: Callable[[], float] = time.monotonic) -> None:
        self._lines, self._clock = lines, clock
        self._until = 0.0
        self._logged = self._suppressed = 0

    def allow(self) -> dict[str, int] | None:
        """``None``: do not log this line. Else what to add to it: how many before it were suppressed, if any."""
        now = self._clock()
        if now >= self._until:
            self._until, self._logged = now + 1.0, 0
        if self._logged >= self._lines:
            self._suppressed += 1
            return None
        self._logged += 1
        suppressed, self._suppressed = self._suppressed, 0
        return {"similar_suppressed": suppressed} if suppressed else {}


def configure_logging(level: str, format: LogFormat) -> None:
    """Sends all logs to standard error: for people on a terminal, one JSON object per line otherwise."""
    console = format == "console" or (format == "auto" and sys.stderr.isatty())
    renderer = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer(_dumps)
    )
    structlog.configure(
        processors=[
            _drop_what_is_below_the_level,
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _tell_exception,
            _without_secrets(renderer),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    set_log_level(level)
    silence_libraries()


def silence_libraries() -> None:
    """Vendor clients log tracebacks and request lines; what matters of it comes out as our own signals and errors.

    Where nobody configures Python's logging, it writes their warnings to standard error.
    """
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def set_log_level(level: str) -> None:
    """Writes what is at least that important from now on, also through loggers that were bound before."""
    global _least
    _least = logging.getLevelNamesMapping()[level.upper()]


def conceal_in_log(concealed: Concealed) -> None:
    """Writes no line with one of these secrets from now on."""
    global _concealed
    _concealed = concealed


def _without_secrets(renderer: Callable[[object, str, EventDict], object]) -> Processor:
    return lambda logger, method, event: _concealed.in_text(str(renderer(logger, method, event)))


def _drop_what_is_below_the_level(_: object, method: str, event: EventDict) -> EventDict:
    if _LEVELS.get(method, logging.CRITICAL) < _least:
        raise structlog.DropEvent
    return event


def _tell_exception(_: object, __: str, event: EventDict) -> EventDict:
    """The traceback as text without secrets. Never with local variables, as structlog has it: bodies, tokens."""
    error = event.pop("exc_info", None)
    if isinstance(error, BaseException):
        event["exception"] = scrub_text("".join(traceback.format_exception(error)).rstrip())
    return event


def _dumps(value: object, **_: object) -> str:
    return orjson.dumps(value, default=str).decode()
