from __future__ import annotations

import pytest

from relay.settings.errors import ConfigError, Problem, dotted, nearest, variable_of


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("server.prot", "unknown key", 12, "relay.yaml", "did you mean 'port'?"),
         "relay.yaml:12: server.prot: unknown key; did you mean 'port'?"),
        (Problem("", "cannot be read: No such file or directory", file="relay.yaml"),
         "relay.yaml: cannot be read: No such file or directory"),
        (Problem("server.port", "must be a whole number", variable="RELAY_SERVER__PORT"),
         "RELAY_SERVER__PORT: must be a whole number"),
        (Problem("sinks.0.url", "is required", variable="RELAY_SINKS"), "RELAY_SINKS: sinks.0.url: is required"),
        (Problem("upstream.api_key", "is empty"), "upstream.api_key: is empty"),
    ],
)  # fmt: skip
def test_a_problem_says_where_what_and_what_to_do(problem: Problem, text: str) -> None:
    """An editor could not jump to the line, or an operator not find the variable."""
    assert str(problem) == text


def test_the_error_has_one_line_per_problem() -> None:
    """``relay check`` would not print what is wrong."""
    problems = (Problem("a", "x"), Problem("b", "y"))
    error = ConfigError(problems)
    assert (error.code, error.problems) == ("bad_configuration", problems)
    assert str(error) == "a: x\nb: y"


def test_the_nearest_known_key_is_named() -> None:
    """A misspelt key would be refused without saying what it should have been."""
    assert nearest("prot", ["host", "port"]) == "did you mean 'port'?"
    assert nearest("PORT", ["host", "port"]) == "did you mean 'port'?"
    assert nearest("zzz", ["host", "port"]) == "known here: host, port"
    assert nearest("none", ["failed", "abandoned"]) == "known here: failed, abandoned"
    assert nearest("zzz", []) == "known here: nothing"


def test_paths_keys_and_variables_correspond() -> None:
    """A problem would name a variable that does not set the key."""
    assert dotted(("sinks", 0, "url")) == "sinks.0.url"
    assert variable_of("sinks.0.url") == "RELAY_SINKS__0__URL"
