from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from relay.settings import ConfigError, Problem, Settings, load
from tests.unit.settings.specimens import SINKS, Amber, Basalt, loading, problems


def test_no_configuration_is_the_defaults() -> None:
    """``relay serve`` would not run without a file."""
    assert load(None, {}, {}) == Settings()


@pytest.mark.parametrize(
    "text",
    ["", "# nothing\n", "{}", "server:\nsinks:\nproxy:\n  clients:\nwebhooks:\n  novita:\n    tokens:\n", "null"],
)
def test_what_is_commented_out_is_the_default(tmp_path: Path, text: str) -> None:
    """A section of which every key is commented out would be refused."""
    assert loading(tmp_path)(text) == Settings()


def test_a_file_is_read(tmp_path: Path) -> None:
    """A setting in the file would not arrive."""
    settings = loading(tmp_path)(
        """
        server: {port: 0, drain_timeout: 1m}
        webhooks: {max_body: 512KiB}
        proxy:
          chunks: off
          clients: {web: {key: k, models: [m/1], max_concurrent: 3}}
        sinks:
          - {type: amber, timeout: 250ms}
          - {type: basalt, topic: t, name: other}
        log: {level: DEBUG}
        """
    )
    assert (settings.server.port, settings.webhooks.max_body, settings.server.drain_timeout) == (0, 512 << 10, 60.0)
    assert (settings.proxy.chunks, settings.log.level) == ("off", "debug")
    assert settings.proxy.clients["web"].max_concurrent == 3
    assert settings.sinks == (Amber(type="amber", timeout=0.25), Basalt(type="basalt", topic="t", name="other"))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("server:\n  prot: 1", "relay.yaml:2: server.prot: unknown key; did you mean 'port'?"),
        ("sever: {}", "relay.yaml:1: sever: unknown key; did you mean 'server'?"),
        ("log: {zzzz: 1}", "relay.yaml:1: log.zzzz: unknown key; known here: level, format"),
        ("upstream: {api_key_fil: x}", "relay.yaml:1: upstream.api_key_fil: unknown key; did you mean 'api_key_file'?"),
        ("sinks:\n- type: amber\n  node: []", "relay.yaml:3: sinks.0.node: unknown key; did you mean 'nodes'?"),
        ("sinks:\n- type: ambre", "relay.yaml:2: sinks.0.type: unknown type of sink; did you mean 'amber'?"),
        ("sinks:\n- url: x", "relay.yaml:2: sinks.0.type: is required; known here: amber, basalt"),
        ("sinks: [amber]", "relay.yaml:1: sinks.0: must be a mapping of keys to values, like {type: kafka}"),
        ("sinks: {type: amber}", "relay.yaml:1: sinks: must be a list, like [a, b]"),
        ("sinks:\n- type: basalt", "relay.yaml:2: sinks.0.topic: is required"),
        ("sinks:\n- type: amber\n- type: amber",
         "relay.yaml:1: sinks: two sinks have the label amber: give each its own name"),
        ("proxy: {clients: {web: {key: k, modles: []}}}",
         "relay.yaml:1: proxy.clients.web.modles: unknown key; did you mean 'models'?"),
        ("proxy:\n  chunk_interval: 250", "relay.yaml:2: proxy.chunk_interval: has no unit: write 250s or 250ms"),
        ("proxy: {clients: {web: nothing}}",
         "relay.yaml:1: proxy.clients.web: must be a mapping of keys to values"),
        ("server: {api_tokens: [12345]}", "relay.yaml:1: server.api_tokens.0: must be text; put it in quotes"),
        ("identity: 5", "relay.yaml:1: identity: must be text; put it in quotes"),
        ("admin:\n  port: 8080",
         "relay.yaml:2: admin.port: is also server.port on the same host; give each listener its own"),
        ("proxy: {clients: {}}\nupstream:\n  api_key: hush",
         "relay.yaml:3: upstream.api_key: is added to the requests of everyone who can reach relay, so clients must "
         "have keys of their own: add one under proxy.clients, or remove it"),
        ("- server", "relay.yaml:1: must be a mapping of sections, like 'server: {port: 8080}'"),
        ("server", "relay.yaml:1: must be a mapping of sections, like 'server: {port: 8080}'"),
        ("server: {port: 1\n", "relay.yaml:2: is not valid YAML (column 1): expected ',' or '}',"
         " but got '<stream end>'; check indentation and quotes"),
        ("a: 1\na: 2", None),
    ],
)  # fmt: skip
def test_each_mistake_has_its_line_and_its_remedy(tmp_path: Path, text: str, line: str | None) -> None:
    """An operator would have to search the file, or guess the key."""
    found = problems(tmp_path, text)
    if line is not None:
        assert found == [line]
    else:
        assert "relay.yaml:2: a: is given twice, first on line 1; keep one of them" in found


def test_all_problems_are_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    """A file with ten mistakes would take ten attempts."""
    text = """
server:
  prot: 1
  port: 70000
server: {}
sinks:
  - {type: amber, timeout: never}
  - {type: zinc}
  - {type: amber}
upstream: {api_key: hush-hush}
"""
    found = problems(tmp_path, text, {"RELAY_LOG__LEVEL": "loud", "RELAY_TYPO": "1"})
    assert [line.partition(": ")[0] for line in found] == [
        *(f"relay.yaml:{line}" for line in (3, 4, 5, 7, 8, 10)), "RELAY_LOG__LEVEL", "RELAY_TYPO",
    ]  # fmt: skip


def test_a_problem_carries_its_parts() -> None:
    """``relay check --json`` would have to take sentences apart."""
    with pytest.raises(ConfigError) as caught:
        load(None, {"RELAY_SERVER__PORT": "x"}, {})
    [problem] = caught.value.problems
    assert problem == Problem("server.port", "must be a whole number", None, None, "", "RELAY_SERVER__PORT")


def test_a_missing_file_is_reported_by_name(tmp_path: Path) -> None:
    """A misspelt path would start a relay with the defaults."""
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        load(tmp_path / "none.yaml", {}, {})


def test_a_binary_file_is_not_taken_for_a_configuration(tmp_path: Path) -> None:
    """A wrong path would end in a traceback."""
    file = tmp_path / "relay.db"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load(file, {}, {})


SECRETS = """
server: {{api_tokens: ["{0}"]}}
webhooks: {{novita: {{tokens: ["{0}"], signing_secrets: ["{0}"]}}}}
upstream: {{api_key: "{0}"}}
proxy: {{clients: {{a: {{key: "{0}", key_sha256: "{0}"}}, b: "{0}"}}}}
dedup: {{shared_index: "{0}"}}
sinks:
  - {{type: amber, password: "{0}"}}
  - {{type: amber, url: ["{0}"]}}
  - {{type: basalt, topic: t, password: "{0}"}}
"""

TOKENS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 /ß", min_size=12, max_size=40).map(lambda text: f"Q{text}Z")


@given(TOKENS)
@budget(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_problem_shows_a_secret(tmp_path: Path, secret: str) -> None:
    """``relay check`` in a build would print a key into its log; here even a plug-in tries to."""
    found = problems(tmp_path, SECRETS.format(secret))
    assert len(found) >= 5
    assert secret not in "\n".join(found)


@given(TOKENS)
@budget(max_examples=30, deadline=None)
def test_no_problem_shows_a_secret_from_the_environment(secret: str) -> None:
    """A crash loop in a cluster would print a key into the log at each start."""
    environ = {
        "RELAY_UPSTREAM__API_KEY": secret,
        "RELAY_UPSTREAM": f"{{api_key: *{secret}",
        "RELAY_WEBHOOKS__NOVITA__SIGNING_SECRETS__0": secret,
        "RELAY_SINKS__0__TYPE": "amber",
        "RELAY_SINKS__0__PASSWORD": secret,
    }
    with pytest.raises(ConfigError) as caught:
        load(None, environ, SINKS)
    assert secret not in str(caught.value)
    assert secret not in repr(caught.value.problems)


def test_an_error_holds_no_trace_of_what_was_given(tmp_path: Path) -> None:
    """The chained validation error would show the values in a traceback that the text leaves out."""
    with pytest.raises(ConfigError) as caught:
        loading(tmp_path)("upstream: {api_key: [hush-hush]}")
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
