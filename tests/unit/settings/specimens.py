"""Sink configurations as a plug-in would bring them, and a shortcut from text to settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

import pytest
from pydantic import Field, SecretStr, model_validator

from relay.core.sink import SinkConfig
from relay.core.units import Duration
from relay.settings import ConfigError, Settings, load


class Amber(SinkConfig):
    type: Literal["amber"]
    url: SecretStr = SecretStr("amber://localhost")
    timeout: Annotated[Duration, Field(gt=0)] = 5.0
    nodes: tuple[str, ...] = ()
    password: SecretStr | None = None
    tls: bool = False

    @model_validator(mode="after")
    def _careless(self) -> Self:
        """Quotes what it was given, as a plug-in should not."""
        if self.password is not None and not self.tls:
            raise ValueError(f"password {self.password.get_secret_value()} needs tls: true")
        return self


class Basalt(SinkConfig):
    type: Literal["basalt"]
    topic: str


SINKS: dict[str, type[SinkConfig]] = {"amber": Amber, "basalt": Basalt}

Loading = Callable[..., Settings]


def loading(folder: Path) -> Loading:
    """``load`` from YAML text and variables."""

    def from_text(text: str | None = None, environ: Mapping[str, str] | None = None) -> Settings:
        file = None
        if text is not None:
            file = folder / "relay.yaml"
            file.write_text(text, encoding="utf-8")
        return load(file, environ or {}, SINKS)

    return from_text


def problems(folder: Path, text: str | None = None, environ: Mapping[str, str] | None = None) -> list[str]:
    """The lines of the error that this configuration must raise, the folder cut off."""
    with pytest.raises(ConfigError) as caught:
        loading(folder)(text, environ)
    return str(caught.value).replace(f"{folder}/", "").splitlines()
