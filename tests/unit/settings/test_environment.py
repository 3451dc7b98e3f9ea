from __future__ import annotations

from pathlib import Path

import pytest

from relay.settings import Settings
from tests.unit.settings.specimens import Amber, loading, problems


def test_variables_stand_above_the_file_and_the_file_above_the_defaults(tmp_path: Path) -> None:
    """A container could not override what its image's file says."""
    settings = loading(tmp_path)("server: {host: 0.0.0.0, port: 1111}", {"RELAY_SERVER__PORT": "2222"})
    assert (settings.server.host, settings.server.port, settings.admin.port) == ("0.0.0.0", 2222, 9090)


def test_text_becomes_what_the_key_takes(tmp_path: Path) -> None:
    """Numbers, switches, durations, sizes, lists or paths could not be set from the environment."""
    settings = loading(tmp_path)(
        None,
        {
            "RELAY_SERVER__PORT": "0",
            "RELAY_CONSOLE__ENABLED": "false",
            "RELAY_PROXY__CHUNKS": "off",
            "RELAY_PROXY__CHUNK_INTERVAL": "100ms",
            "RELAY_WEBHOOKS__MAX_BODY": "2MiB",
            "RELAY_RECONCILE__MAX_RATE": "0.5",
            "RELAY_JOURNAL__PATH": "/data/relay.db",
            "RELAY_SERVER__API_TOKENS": '["a", "b"]',
            "RELAY_SERVER__TRUSTED_PROXIES": "[10.0.0.0/8]",
            "RELAY_IDENTITY": "007",
            "RELAY_WEBHOOKS__NOVITA__TOKENS__0": "12345",
        },
    )
    assert settings == Settings.model_validate(
        {
            "server": {
                "port": 0,
                "api_tokens": ["a", "b"],
                "trusted_proxies": ["10.0.0.0/8"],
            },
            "console": {"enabled": False},
            "proxy": {"chunks": "off", "chunk_interval": 0.1},
            "reconcile": {"max_rate": 0.5},
            "journal": {"path": "/data/relay.db"},
            "identity": "007",
            "webhooks": {"max_body": 2 << 20, "novita": {"tokens": ["12345"]}},
        }
    )


def test_text_is_taken_as_it_is(tmp_path: Path) -> None:
    """A password with a YAML character in it, or one that looks like a number, would be changed or refused."""
    password = '"#: *x'.replace(" ", "")
    settings = loading(tmp_path)("sinks: [{type: amber, tls: true}]", {"RELAY_SINKS__0__PASSWORD": password})
    sink = settings.sinks[0]
    assert isinstance(sink, Amber)
    assert sink.password is not None
    assert sink.password.get_secret_value() == password


def test_null_takes_an_optional_value_away(tmp_path: Path) -> None:
    """What the file sets could not be unset."""
    url = loading(tmp_path)("server: {public_url: 'https://x'}", {"RELAY_SERVER__PUBLIC_URL": "null"}).server.public_url
    assert url is None


def test_a_sink_is_reached_by_its_number(tmp_path: Path) -> None:
    """The address of a sink could not differ between two deployments of one file."""
    text = "sinks: [{type: amber, name: one}, {type: amber, name: two, timeout: 1s}]"
    settings = loading(tmp_path)(text, {"RELAY_SINKS__1__TIMEOUT": "2s", "RELAY_SINKS__1__NODES": "[a, b]"})
    assert settings.sinks == (
        Amber(type="amber", name="one"),
        Amber(type="amber", name="two", timeout=2.0, nodes=("a", "b")),
    )


def test_the_next_number_appends_a_sink(tmp_path: Path) -> None:
    """A relay without a file could have no sink."""
    environ = {"RELAY_SINKS__0__TIMEOUT": "1s", "RELAY_SINKS__0__TYPE": "amber", "RELAY_SINKS__1__TYPE": "basalt"}
    settings = loading(tmp_path)(None, environ | {"RELAY_SINKS__1__TOPIC": "10"})
    assert [sink.label for sink in settings.sinks] == ["amber", "basalt"]


def test_a_whole_value_replaces_the_files(tmp_path: Path) -> None:
    """A list from the environment would be mixed with the file's."""
    text = "sinks: [{type: basalt, topic: t}]\nserver: {host: 0.0.0.0}"
    settings = loading(tmp_path)(text, {"RELAY_SINKS": '[{"type": "amber"}]', "RELAY_SERVER": "{port: 1}"})
    assert settings.sinks == (Amber(type="amber"),)
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 1)


def test_a_client_is_reached_by_its_name(tmp_path: Path) -> None:
    """The key of a client whose name a variable cannot spell would have to stand in the file."""
    text = "proxy: {clients: {Web-App: {models: [m]}}}"
    environ = {"RELAY_PROXY__CLIENTS__WEB_APP__KEY": "k1", "RELAY_PROXY__CLIENTS__OPS__KEY": "k2"}
    clients = loading(tmp_path)(text, environ).proxy.clients
    assert {name: client.models for name, client in clients.items()} == {"Web-App": ("m",), "ops": ()}


@pytest.mark.parametrize(
    ("variable", "line"),
    [
        ("RELAY_SERVER__PROT", "RELAY_SERVER__PROT: unknown variable; did you mean 'RELAY_SERVER__PORT'?"),
        ("RELAY_SERVER_PORT", "RELAY_SERVER_PORT: unknown variable; did you mean 'RELAY_SERVER__PORT'?"),
        ("RELAY_SERVR__PORT", "RELAY_SERVR__PORT: unknown variable; did you mean 'RELAY_SERVER__PORT'?"),
        ("RELAY_SINK", "RELAY_SINK: unknown variable; did you mean 'RELAY_SINKS'?"),
        ("RELAY_JOURNAL__PATH__X", "RELAY_JOURNAL__PATH__X: unknown variable; did you mean 'RELAY_JOURNAL__PATH'?"),
        ("RELAY_SINKS__0__NODE", "RELAY_SINKS__0__NODE: unknown variable; did you mean 'RELAY_SINKS__0__NODES'?"),
        ("RELAY_SINKS__A__URL", "RELAY_SINKS__A: unknown variable; entries are numbered from 0: RELAY_SINKS__0"),
        ("RELAY_SINKS__2__URL", "RELAY_SINKS__2__URL: leaves a gap: the next entry of sinks is number 1"),
        ("RELAY_UPSTREAM__BASE_URL_FILE",
         "RELAY_UPSTREAM__BASE_URL_FILE: unknown variable; did you mean 'RELAY_UPSTREAM__BASE_URL'?"),
        ("RELAY_ADMIN_PORT", "RELAY_ADMIN_PORT: unknown variable; did you mean 'RELAY_ADMIN__PORT'?"),
        ("RELAY_", "RELAY_: unknown variable"),
    ],
)  # fmt: skip
def test_an_unknown_variable_names_the_nearest_known(tmp_path: Path, variable: str, line: str) -> None:
    """A misspelt variable would be ignored, and the relay run with a default that nobody wanted."""
    [found] = problems(tmp_path, "sinks: [{type: amber}]", {variable: "1"})
    assert found.startswith(line.replace("RELAY_SINKS__A:", "RELAY_SINKS__A__URL:"))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RELAY_CONFIG", "/etc/relay.yaml"),
        ("RELAY_TEST_KAFKA", "1"),
        ("RELAY_SERVICE_HOST", "10.0.0.1"),
        ("RELAY_SERVICE_PORT_HTTP", "80"),
        ("RELAY_ADMIN_SERVICE_PORT", "9090"),
        ("RELAY_PORT", "tcp://10.0.0.1:80"),
        ("RELAY_ADMIN_PORT", "tcp://10.0.0.1:9090"),
        ("RELAY_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("RELAY_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("OTHER_SERVER__PORT", "1"),
        ("relay_server__port", "1"),
    ],
)
def test_variables_with_another_meaning_are_left_alone(tmp_path: Path, variable: str, value: str) -> None:
    """In Kubernetes, beside a Service named relay, the relay would refuse to start."""
    assert loading(tmp_path)(None, {variable: value}) == Settings()


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({"RELAY_SERVER__PORT": "eighty"}, "RELAY_SERVER__PORT: must be a whole number"),
        ({"RELAY_SERVER__PORT": ""}, "RELAY_SERVER__PORT: must be a whole number"),
        ({"RELAY_RECONCILE__EVERY": "30"}, "RELAY_RECONCILE__EVERY: has no unit: write 30s or 30ms"),
        ({"RELAY_UPSTREAM__API_KEY": ""}, "RELAY_UPSTREAM__API_KEY: is empty: give it a value, or remove the key"),
        ({"RELAY_SERVER__API_TOKENS": "abc"}, "RELAY_SERVER__API_TOKENS: must be a list, like [a, b]"),
        ({"RELAY_SINKS": "[{type: amber"}, "RELAY_SINKS: is not valid YAML (column 14): expected ',' or '}',"
         " but got '<stream end>'; check indentation and quotes"),
        ({"RELAY_SINKS": "[{type: amber, tls: 5}]"}, "RELAY_SINKS: sinks.0.tls: must be true or false"),
        ({"RELAY_SINKS": "[{type: amber, tls: true, tls: true}]"},
         "RELAY_SINKS: sinks.0.tls: is given twice; keep one of them"),
        ({"RELAY_SERVER": "{host: 5}"}, "RELAY_SERVER: server.host: must be text; put it in quotes"),
        ({"RELAY_SERVER": "5"}, "RELAY_SERVER: must be a mapping of keys to values"),
        ({"RELAY_LOG__LEVEL": "loud"}, "RELAY_LOG__LEVEL: must be 'debug', 'info', 'warning' or 'error'"),
    ],
)  # fmt: skip
def test_a_problem_names_its_variable(tmp_path: Path, environ: dict[str, str], line: str) -> None:
    """An operator would look for the mistake in the file, which does not have it."""
    assert problems(tmp_path, "server: {host: 0.0.0.0}", environ) == [line]


def test_a_variable_below_the_wrong_kind_of_value_does_not_hide_it(tmp_path: Path) -> None:
    """A mistake in the file would end in a traceback, or vanish, when a variable touches the same section."""
    environ = {"RELAY_SERVER__PORT": "1", "RELAY_SINKS__0__TYPE": "amber"}
    assert problems(tmp_path, "server: 5\nsinks: 6\n", environ) == [
        "relay.yaml:1: server: must be a mapping of keys to values",
        "relay.yaml:2: sinks: must be a list, like [a, b]",
    ]
