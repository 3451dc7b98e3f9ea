"""Whose key it is, what they may do, and which key goes on."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from multidict import CIMultiDict

from relay.edge.http.problems import ProblemError
from relay.edge.proxy.clients import Client, Clients
from relay.settings.model import ProxySettings
from relay.telemetry.signals.clients import ClientSignals
from relay.telemetry.telemetry import Telemetry

KEY, OTHER = "relay-key-of-web-0123456789", "relay-key-of-batch-0123456789"


def clients(api_key: str | None = "upstream-key", **named: Any) -> Clients:
    return Clients(ProxySettings.model_validate({"clients": named, "on_disconnect": "drain"}), api_key)


def named() -> Clients:
    return clients(
        web={"key": KEY, "models": ["a/m"], "max_concurrent": 2, "on_disconnect": "cancel"},
        batch={"key_sha256": hashlib.sha256(OTHER.encode()).hexdigest()},
    )


def shown(value: str) -> CIMultiDict[str]:
    return CIMultiDict({"authorization": value})


@pytest.mark.parametrize("form", ["Bearer {}", "bearer  {} ", "{}"])
def test_a_client_is_known_by_its_key(form: str) -> None:
    """Clients could not be distinguished, or could not use the SDK that sends the key without its scheme."""
    assert named().admit(shown(form.format(KEY))) == Client("web", frozenset({"a/m"}), 2, "cancel")
    assert named().admit(shown(form.format(OTHER))) == Client("batch", frozenset(), None, "drain")


@pytest.mark.parametrize("value", ["", "Bearer ", f"Bearer {KEY}x", f"Basic {KEY}", "Bearer upstream-key", "\udcff"])
def test_another_key_is_refused_without_a_word_about_the_right_one(value: str) -> None:
    """Anybody could spend the upstream's credit."""
    with pytest.raises(ProblemError) as caught:
        named().admit(shown(value))
    assert caught.value.code == "unauthorized"
    assert KEY.encode() not in caught.value.answer.body
    with pytest.raises(ProblemError):
        named().admit(CIMultiDict())


def test_without_clients_anybody_is_admitted_nameless() -> None:
    """A relay without configuration would serve nobody."""
    assert clients(None).admit(CIMultiDict()) == Client(None, frozenset(), None, "drain")


def test_the_relays_key_replaces_the_clients() -> None:
    """A client's key would go to the upstream, or the relay's would be missing there."""
    received = [(b"A", b"1"), (b"authorization", f"Bearer {KEY}".encode())]
    key, plain = (b"authorization", b"Bearer upstream-key"), (b"Accept-Encoding", b"identity")
    assert named().authorized(received) == [(b"A", b"1"), key, plain]
    zipped = named().authorized([*received, (b"accept-encoding", b"gzip")])
    assert zipped == [(b"A", b"1"), key, (b"accept-encoding", b"identity")]


def test_without_a_key_of_the_relays_the_clients_goes_on_as_it_came() -> None:
    """Applications that bring their own key would be refused by the upstream."""
    received = [(b"authorization", f"bearer  {KEY}".encode())]
    assert clients(None, web={"key": KEY}).authorized(received) == received
    assert clients(None).authorized(received) == received


def test_a_client_may_use_its_models_only() -> None:
    """A limit on models would limit nothing; or everybody, where there is none."""
    Client(models=frozenset({"a"})).require_model("a")
    Client().require_model(None)
    for model in ("b", None, 1, [], ["a"], {}):
        with pytest.raises(ProblemError) as caught:
            Client(models=frozenset({"a"})).require_model(model)
        assert caught.value.code == "model_not_allowed"


class Hour:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def limited(limits: dict[str, Any], clock: Hour, signals: ClientSignals | None = None) -> Clients:
    settings = ProxySettings.model_validate({"clients": {"web": {"key": KEY, **limits}}})
    return Clients(settings, None, signals=signals, now=clock)


def test_a_client_that_has_used_up_its_limit_reads_when_to_come_again() -> None:
    """SDKs would retry at once, or a client would not learn which limit to have raised."""
    telemetry, clock = Telemetry(), Hour()
    known = limited({"requests_per_minute": 2}, clock, ClientSignals(telemetry))
    web = known.admit(shown(KEY))
    known.count(web)
    known.count(web, chat=True)
    with pytest.raises(ProblemError) as caught:
        known.count(web)
    answer = caught.value.answer
    assert (answer.status, answer.headers["Retry-After"]) == (429, "30")
    assert b"requests_per_minute is 2" in answer.body
    labels = {"client": "web", "limit": "requests_per_minute"}
    assert telemetry.metrics.registry.get_sample_value("relay_clients_limited_total", labels) == 1
    clock.now = 30.0
    known.count(web)


def test_a_reload_keeps_what_was_used_and_forgets_clients_that_are_gone() -> None:
    """Each reload would hand out a fresh minute; or memory would grow with each name that was ever configured."""
    clock = Hour()
    known = limited({"tokens_per_minute": 100}, clock)
    before = known.admit(shown(KEY))
    known.reconfigure(ProxySettings.model_validate({"clients": {"web": {"key": KEY, "tokens_per_minute": 200}}}), None)
    known.spend(before, 300)  # a chat that began before the reload
    with pytest.raises(ProblemError) as caught:
        known.count(known.admit(shown(KEY)), chat=True)
    assert caught.value.answer.headers["Retry-After"] == "31"
    known.reconfigure(ProxySettings.model_validate({"clients": {"batch": {"key": OTHER}}}), None)
    assert list(known._quotas) == ["batch"]


def test_nobody_without_a_name_is_limited() -> None:
    """A relay without clients would refuse requests."""
    known = clients(None)
    for _ in range(10_000):
        known.count(known.admit(CIMultiDict()), chat=True)
