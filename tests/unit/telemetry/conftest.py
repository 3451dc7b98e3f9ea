"""The log as somebody reads it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from relay.telemetry.log import _NOISY
from tests.unit.telemetry.log_reader import Log


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Iterator[Log]:
    """The log; what a test configures is taken back."""
    levels = {name: logging.getLogger(name).level for name in _NOISY}
    config = structlog.get_config()
    yield Log(capsys)
    structlog.configure(**config)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
