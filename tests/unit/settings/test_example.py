"""Holds ``config/*.yaml`` to the models and to the sink plug-ins."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import relay.sinks
from relay.core.sink import SinkConfig
from relay.core.units import UNITS_REQUIRED
from relay.settings import ClientSettings, Settings, load, warnings
from relay.settings.shape import sections, shape_of

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "config" / "relay.example.yaml"
SINKS = sorted(module.name for module in pkgutil.iter_modules(relay.sinks.__path__))
assert len(SINKS) > 1

SWITCHED_OFF = re.compile(r"^( *)#(?=[^ #])", re.MULTILINE)
KEY_LINE = re.compile(r"^ *(?:#?- |#)?[a-z_0-9]+: \S")


def config_of(sink: str) -> type[SinkConfig]:
    config = importlib.import_module(f"relay.sinks.{sink}").Config
    assert issubclass(config, SinkConfig)
    return config


def known_sinks() -> dict[str, type[SinkConfig]]:
    return {sink: config_of(sink) for sink in SINKS}


def uncommented() -> dict[str, Any]:
    text = EXAMPLE.read_text(encoding="utf-8")
    document = yaml.safe_load(SWITCHED_OFF.sub(r"\1", "\n".join(line for line in text.splitlines() if line != "#")))
    assert isinstance(document, dict)
    return document


def shown(sink: str) -> dict[str, Any]:
    [entry] = [entry for entry in uncommented()["sinks"] if entry["type"] == sink]
    return dict(entry)


def test_the_example_is_the_defaults() -> None:
    """The example would show other defaults than the relay has."""
    assert load(EXAMPLE, {}, known_sinks()) == Settings()


def test_the_example_shows_every_key_of_every_section() -> None:
    """A setting would exist that nobody can find."""
    missing = [
        ".".join(map(str, (*path, key)))
        for path, section, shape in sections(uncommented(), shape_of(Settings, known_sinks()))
        for key in shape.keys
        if key not in section
    ]
    seen = {path for path, _section, _shape in sections(uncommented(), shape_of(Settings, {}))}
    assert missing == []
    assert ("proxy", "capture") in seen


def test_the_example_works_when_everything_in_it_is_switched_on(tmp_path: Path) -> None:
    """Taking the '#' away would leave a file that is refused."""
    file = tmp_path / "relay.yaml"
    file.write_text(SWITCHED_OFF.sub(r"\1", EXAMPLE.read_text(encoding="utf-8")), encoding="utf-8")
    settings = load(file, {}, known_sinks())
    assert [sink.type for sink in settings.sinks] == SINKS
    assert list(settings.proxy.clients) == ["web"]


@pytest.mark.parametrize("sink", SINKS)
def test_the_example_shows_each_sink_with_its_defaults(sink: str) -> None:
    """A key of a sink would be missing from the example, or be shown with another default."""
    config, entry = config_of(sink), shown(sink)
    assert set(entry) == set(config.model_fields)
    assert config.model_validate(entry, context=UNITS_REQUIRED) == config(type=sink)


def test_the_example_shows_a_client_with_its_defaults() -> None:
    """A key of a client would be shown with another default than it has."""
    entry = uncommented()["proxy"]["clients"]["web"]
    assert list(entry) == list(ClientSettings.model_fields)
    assert ClientSettings.model_validate(entry) == ClientSettings(key=entry["key"])


def test_the_example_explains_every_key() -> None:
    """A key would stand there without a word about what it does."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    keys = [line for line in lines if KEY_LINE.match(line) and not line.lstrip().startswith("#- type")]
    assert len(keys) > 90
    assert [line for line in keys if " # " not in line] == []


def test_the_development_configuration_works_without_warnings() -> None:
    """``relay serve --config config/relay.dev.yaml`` would be the first thing a newcomer sees fail."""
    settings = load(ROOT / "config" / "relay.dev.yaml", {}, known_sinks())
    assert settings.identity_name == "dev"
    assert warnings(settings) == []
