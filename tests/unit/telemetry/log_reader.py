"""What was written to standard error."""

from __future__ import annotations

from typing import Any

import orjson
import pytest


class Log:
    """What was written to standard error so far."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    @property
    def text(self) -> str:
        self._text += self._capsys.readouterr().err
        return self._text

    @property
    def lines(self) -> list[Any]:
        return [orjson.loads(line) for line in self.text.splitlines()]
