from __future__ import annotations

from typing import Any

import pytest

from relay.settings import Settings, warnings

STRONG = "s" * 22
KEYED: dict[str, Any] = {"upstream": {"api_key": STRONG}, "proxy": {"clients": {"web": {"key": STRONG}}}}
EXPOSED: dict[str, Any] = {
    "server": {"host": "0.0.0.0", "public_url": "https://relay.example.com", "api_tokens": [STRONG]},
    "webhooks": {"novita": {"tokens": [STRONG]}},
}


def advice(**sections: Any) -> list[str]:
    return warnings(Settings.model_validate(sections))


def test_a_complete_configuration_gives_no_warning() -> None:
    """Warnings that are always there are read by nobody."""
    assert advice(**KEYED, **EXPOSED) == []


def test_the_default_configuration_warns_of_polling_without_a_key_only() -> None:
    """A first start would scold, or would not say that lost webhooks stay lost."""
    [warning] = advice()
    assert warning.startswith("upstream.api_key is not set")


@pytest.mark.parametrize(
    ("sections", "start"),
    [
        ({"server": {"host": "0.0.0.0", "api_tokens": [STRONG]}}, "webhooks.novita.tokens is empty"),
        ({"server": {"public_url": "https://relay.example.com"}}, "webhooks.novita.tokens is empty"),
        ({"server": {"host": "::"}, "webhooks": {"novita": {"tokens": [STRONG]}}}, "server.api_tokens is empty"),
        ({"webhooks": {"novita": {"tokens": [STRONG, "s" * 21]}}}, "webhooks.novita.tokens can be guessed"),
        ({"server": {"api_tokens": ["short"]}}, "server.api_tokens can be guessed"),
        ({"proxy": {"clients": {"web": {"key": "short"}}}}, "proxy.clients.web.key can be guessed"),
        (
            {"server": {"public_url": "http://relay.example.com"}, "webhooks": {"novita": {"tokens": [STRONG]}}},
            "server.public_url begins with http://",
        ),
        (
            {"upstream": {"base_url": "http://api.example.com", "api_key": STRONG}},
            "upstream.base_url begins with http://",
        ),
        ({"upstream": {"base_url": "https://api.example.com"}}, "upstream.api_key is not set"),
    ],
)
def test_what_is_probably_not_meant_is_told(sections: dict[str, Any], start: str) -> None:
    """A relay that is open, refuses everybody, or never finds lost tasks would start without a word."""
    [warning] = advice(**({**KEYED} | sections if "upstream" not in sections else {"proxy": KEYED["proxy"]} | sections))
    assert warning.startswith(start)


@pytest.mark.parametrize(
    "sections",
    [
        {"upstream": {"base_url": "http://127.0.0.1:8090"}},
        {"upstream": {"base_url": "http://localhost:8090"}},
        {"reconcile": {"enabled": False}},
        KEYED | {"server": {"host": "::1", "port": 80}},
        {"proxy": {"clients": {"web": {"key_sha256": "ab" * 32}}}, "reconcile": {"enabled": False}},
    ],
)
def test_what_is_fine_on_one_machine_is_not_told(sections: dict[str, Any]) -> None:
    """Working against the simulator would be accompanied by warnings that mean nothing there."""
    assert advice(**sections) == []


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
