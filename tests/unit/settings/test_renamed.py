from __future__ import annotations

from pathlib import Path

import pytest

from relay.app.plugins import sink_configs
from relay.settings import ConfigError, Settings, load
from relay.settings.errors import variable_of
from relay.settings.renamed import RENAMED
from relay.settings.shape import Shape, shape_of


def here(key: str) -> str:
    """A renamed key with names instead of its asterisks: of a client, of the first sink."""
    return key.replace("clients.*", "clients.web").replace("sinks.*", "sinks.0")


def is_known(key: str) -> bool:
    """Whether a setting has this name."""
    shape: Shape | None = shape_of(Settings, sink_configs()).for_value({})
    for part in key.split("."):
        assert shape is not None
        shape = shape.item if part == "*" else shape.key(part)
        if shape is not None and shape.kind == "choice":
            shape = shape.choices["redis"]
    return shape is not None


def yaml_of(key: str) -> str:
    """A document in which the key stands on the second line."""
    *sections, name = here(key).split(".")
    if sections[0] == "sinks":
        return f"sinks:\n- {{{name}: 1s, type: redis}}\n"
    if len(sections) > 1:
        return f"{sections[0]}: {{clients: {{web: {{key: k,\n {name}: 1}}}}}}\n"
    return f"{sections[0]}:\n  {name}: 1\n"


def hints(path: Path | None, environ: dict[str, str]) -> dict[str, str]:
    """What loading says about each key that it refuses."""
    with pytest.raises(ConfigError) as caught:
        load(path, environ, sink_configs())
    return {problem.key: problem.hint for problem in caught.value.problems}


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_each_old_setting_is_gone_and_its_new_name_is_there(old: str, new: str) -> None:
    """An old name would be taken as well, or the error would send people to a key that is not there."""
    assert (is_known(old), is_known(new)) == (False, True)


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_setting_in_the_file_gets_its_new_name(tmp_path: Path, old: str, new: str) -> None:
    """An operator would be sent to whatever key is spelt alike, or left alone with "unknown key"."""
    file = tmp_path / "relay.yaml"
    file.write_text(yaml_of(old))
    assert hints(file, {})[here(old)] == f"it is called {here(new)} now"


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_variable_gets_its_new_name(old: str, new: str) -> None:
    """Broken: the same for a container, which is configured by its environment."""
    environ = {variable_of(here(old)): "1", "RELAY_SINKS__0__TYPE": "redis"}
    assert hints(None, environ)[here(old)] == f"it is called {variable_of(here(new))} now"


def test_a_key_of_one_type_of_sink_is_not_looked_for_in_another(tmp_path: Path) -> None:
    """A Kafka sink would be sent to a key that only Redis has."""
    file = tmp_path / "relay.yaml"
    file.write_text("sinks:\n- {type: kafka, trim: 1s}\n")
    assert "retention" not in hints(file, {})["sinks.0.trim"]
