from __future__ import annotations

from typing import Any

import pytest

from relay.settings import Settings, warnings

STRONG = "s" * 22
PUBLIC = {"public_url": "https://relay.example.com", "api_tokens": [STRONG]}
EXPOSED: dict[str, Any] = {
    "server": {"host": "0.0.0.0", "public_url": "https://relay.example.com", "api_tokens": [STRONG]},
    "webhooks": {"novita": {"tokens": [STRONG]}},
    "upstream": {"api_key": "sk-1"},
    "proxy": {"clients": {"web": {"key": STRONG}}},
}


def advice(**sections: Any) -> list[str]:
    return warnings(Settings.model_validate(sections))


def test_a_complete_configuration_gives_no_warning() -> None:
    """Warnings that are always there are read by nobody."""
    assert advice(**EXPOSED) == []


def test_the_default_configuration_gives_no_warning() -> None:
    """A first start would scold."""
    assert advice() == []


@pytest.mark.parametrize(
    ("sections", "start"),
    [
        ({"server": {"host": "0.0.0.0", "api_tokens": [STRONG]}}, "webhooks.novita.tokens is empty"),
        ({"server": PUBLIC}, "webhooks.novita.tokens is empty"),
        ({"server": {"host": "::"}, "webhooks": {"novita": {"tokens": [STRONG]}}}, "server.api_tokens is empty"),
        ({"webhooks": {"novita": {"tokens": [STRONG, "s" * 21]}}}, "webhooks.novita.tokens is easy to guess"),
        ({"server": {"api_tokens": ["short"]}}, "server.api_tokens is easy to guess"),
        ({"proxy": {"clients": {"web": {"key": "short"}}}}, "proxy.clients.web.key is easy to guess"),
        ({"upstream": {"base_url": "http://api.example.com"}}, "upstream.base_url begins with http://"),
        (
            {
                "server": PUBLIC | {"public_url": "http://relay.example.com"},
                "webhooks": {"novita": {"tokens": [STRONG]}},
            },
            "server.public_url begins with http://",
        ),
    ],
)
def test_what_is_probably_not_meant_is_reported(sections: dict[str, Any], start: str) -> None:
    """A relay that is open, refuses everybody, or never finds lost tasks would start without a word."""
    [warning] = advice(**sections, reconcile={"enabled": False})
    assert warning.startswith(start)


def test_what_no_part_uses_is_reported() -> None:
    """Somebody would rely on a part that is not there."""
    [warning] = advice(dedup={"shared_index": "redis://localhost/0"})
    assert warning.startswith("dedup.shared_index is set, but no sink needs it")
    [warning] = advice(telemetry={"otlp": {"content": True}})
    assert warning.startswith("telemetry.otlp.content is true, but only events have content")
    assert not advice(telemetry={"otlp": {"content": True, "events": True}})
    [warning] = advice(dedup={"shared_index_tls": {"ca_file": "/ca"}})
    assert warning.startswith("dedup.shared_index_tls is set, but is used only if")


@pytest.mark.parametrize(
    ("sections", "reported"),
    [
        ({"proxy": {"clients": {"web": {"key": STRONG}}}}, True),
        ({"server": PUBLIC, "webhooks": {"novita": {"tokens": [STRONG]}}}, True),
        ({"proxy": {"clients": {"web": {"key": STRONG}}}, "upstream": {"base_url": "http://127.0.0.1:8090"}}, False),
        ({"proxy": {"clients": {"web": {"key": STRONG}}}, "reconcile": {"enabled": False}}, False),
        ({"reconcile": {"max_rate": 1}}, False),
    ],
)
def test_polls_that_the_upstream_will_refuse_are_reported(sections: dict[str, Any], reported: bool) -> None:
    """Tasks whose webhook is lost would hang without a warning that a key is missing; or everybody would get one."""
    assert [warning.startswith("upstream.api_key is not set") for warning in advice(**sections)] == [True] * reported


def test_no_warning_shows_a_secret() -> None:
    """A weak token would be printed in the log together with the advice to change it."""
    assert "hush" not in "".join(
        advice(
            server={"api_tokens": ["hush"]},
            webhooks={"novita": {"tokens": ["hush"]}},
            upstream={"api_key": "hush"},
            proxy={"clients": {"web": {"key": "hush"}}},
        )
    )
