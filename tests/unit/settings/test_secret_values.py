from __future__ import annotations

from relay.settings import Settings, secrets_of
from relay.sinks.redis import Config


def test_every_secret_is_found_wherever_it_stands() -> None:
    """A secret of one section would be shown in logs, events and answers."""
    settings = Settings.model_validate(
        {
            "server": {"api_tokens": ["api-1", "api-2"]},
            "webhooks": {"novita": {"tokens": ["hook"], "signing_secrets": ["whsec_" + "A" * 44]}},
            "upstream": {"api_key": "up"},
            "proxy": {"clients": {"web": {"key": "client"}, "other": {"key_sha256": "0" * 64}}},
            "dedup": {"shared_index": "redis://user:index-password@host:6379/0"},
            "sinks": (Config.model_validate({"type": "redis", "url": "redis://localhost:6379/0", "password": "sink"}),),
        }
    )
    assert secrets_of(settings) == {
        "api-1",
        "api-2",
        "hook",
        "whsec_" + "A" * 44,
        "up",
        "client",
        "index-password",
        "sink",
    }
