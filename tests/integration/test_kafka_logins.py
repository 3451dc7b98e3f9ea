"""The Kafka sink against a broker that checks each login, and ends a connection with its credential."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.core.sink import Batch, Checkpoint, Published, SinkUnavailable
from relay.sinks.kafka import Config, logins
from relay.sinks.kafka.sink import KafkaSink
from tests.integration.test_kafka_sink import JOURNAL, Sinks, batch, entry
from tests.integration.test_wrong_inputs import page_rows, pattern
from tests.services.guarded_kafka import (
    ACCESS_KEY,
    AWS,
    BRIEF,
    ENDS_AFTER,
    NOWHERE_ELSE,
    PASSWORDS,
    REGION,
    SECRET_KEY,
    GuardedKafka,
    guarded_kafka,
)
from tests.services.kafka import Kafka
from tests.services.oidc import Client, new_key
from tests.services.relay import RelayProcess
from tests.services.sts import identity, running_sts


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedKafka]:
    with guarded_kafka(tmp_path_factory.mktemp("guarded")) as running:
        yield running


@pytest.fixture
async def sinks(guarded: GuardedKafka) -> AsyncIterator[Sinks]:
    made = Sinks(guarded.broker.bootstrap, Kafka(guarded.broker.bootstrap).topic_prefix())
    yield made
    await made.close()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A key of AWS's in the environment."""
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


async def refusal(sink: KafkaSink) -> SinkUnavailable:
    """Why the sink cannot be opened: nothing that is not tried again."""
    with pytest.raises(SinkUnavailable) as caught:
        await sink.open()
    explained(caught.value)
    return caught.value


def explained(error: SinkUnavailable) -> None:
    """The page about errors has this one."""
    rows = page_rows()["Kafka does not let relay in"]
    assert any(re.search(pattern(says), error.message) for says in rows), error.message


class Load:
    """Publishes batches one after the other, and notes the longest time between two commits."""

    def __init__(self, sink: KafkaSink, sinks: Sinks) -> None:
        self.sink, self._sinks = sink, sinks
        self.published, self.longest = 0, 0.0

    async def publish(self, seconds: float = 0.0) -> None:
        """For so long; at least one batch."""
        began = last = time.monotonic()
        while True:
            entries = [entry(self.published + n) for n in range(1, 11)]
            await self.sink.publish(Batch(entries, Checkpoint(JOURNAL, self.published + 10)))
            self.published += 10
            self.longest, last = max(self.longest, time.monotonic() - last), time.monotonic()
            if last - began >= seconds:
                return
            await asyncio.sleep(0.01)  # others want to publish, too

    async def verify(self) -> None:
        """Each event is there once."""
        expected = sorted(f"{n}:succeeded" for n in range(1, self.published + 1))
        assert await self._sinks.ids() == expected
        print(f"{self.published} events, at most {self.longest:.3f} s between two commits")


async def test_the_broker_of_these_tests_takes_no_forged_token(
    guarded: GuardedKafka, sinks: Sinks, tmp_path: Path
) -> None:
    """If this fails, nothing that the other tests show is true: such a broker takes anything.

    Nor would an operator learn why a token is refused: the broker says only that it is.
    """
    token = guarded.provider.token
    bad = {
        "subject relay": token(key=new_key(tmp_path / "other.pem")),
        "audience other": token(aud="other"),
        "issuer https://elsewhere.test": token(iss="https://elsewhere.test"),
        "expired 6": token(exp=int(time.time()) - 60),
        "not a JWT": "nonsense",
    }
    for shown, forged in bad.items():
        error = await refusal(sinks.make(**guarded.token(forged)))
        assert error.code == "authentication"
        assert "refuses the login by OAUTHBEARER" in error.message
        assert shown in error.message
        assert forged not in f"{error} {error.__cause__!r}"
    assert await sinks.make(**guarded.token(token())).open() is None


async def test_a_token_that_is_not_to_be_had_is_reported(guarded: GuardedKafka, sinks: Sinks) -> None:
    """If this fails, an operator with a wrong secret looks for the fault at Kafka, or finds the secret in a log."""
    wrong = Client("relay", "wr0ng-secret")
    error = await refusal(sinks.make(**guarded.oauth(wrong)))
    assert (error.code, wrong.secret in str(error)) == ("authentication", False)
    assert f"{guarded.provider.token_endpoint} answers 401 to the client relay (invalid_client" in error.message
    nowhere = guarded.oauth() | {"sasl_oauthbearer_token_endpoint_url": "http://127.0.0.1:1/token"}
    error = await refusal(sinks.make(**nowhere))
    assert error.code == "unreachable"
    assert "http://127.0.0.1:1/token cannot be reached" in error.message


async def test_client_credentials(guarded: GuardedKafka, sinks: Sinks) -> None:
    """If this fails, no Kafka that takes only the tokens of an OIDC provider can be reached."""
    keys = {"sasl_oauthbearer_scope": "produce", "sasl_oauthbearer_extensions": {"pool": "a"}}
    sink = sinks.make(**guarded.oauth(**keys))
    await sink.open()
    assert await sink.publish(batch(entry(1))) == [Published()]
    assert await sinks.ids() == ["1:succeeded"]


async def kept(load: Load, seconds: float) -> None:
    """Publishes for so long, during which the producer stays, and no connection is lost."""
    session = load.sink._session
    assert session is not None
    await load.publish(seconds)
    assert load.sink._session is session, "the producer was given up"
    assert session.lost_connections == 0


@pytest.fixture
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Renewals begin when a fifth of the time is over: also a busy machine is ready before its end."""
    monkeypatch.setattr(logins, "_RENEWED_AFTER", 0.2)


@pytest.mark.usefixtures("aws", "early")
async def test_what_ends_is_renewed_while_events_are_published(guarded: GuardedKafka) -> None:
    """If this fails, publishing stops each time that a token ends: its connections end with it (KIP-368).

    Or a broker with ``connections.max.reauth.ms`` cuts connections by password in the middle of a transaction.
    """
    await asyncio.to_thread(guarded.set_scram, "relay", "first-word")
    password = guarded.password("relay", "first-word", "SCRAM-SHA-512")
    async with AsyncExitStack() as stack:
        loads = []
        for keys in (guarded.oauth(BRIEF), guarded.iam(), password):
            sinks = Sinks(guarded.broker.bootstrap, Kafka(guarded.broker.bootstrap).topic_prefix())
            stack.push_async_callback(sinks.close)
            loads.append(Load(sinks.make(**keys), sinks))
        await asyncio.gather(*(load.sink.open() for load in loads))
        await asyncio.gather(*(kept(load, 1.1 * ENDS_AFTER) for load in loads))
        for load in loads:
            await load.verify()


async def test_a_token_of_iam_that_is_refused_or_not_to_be_had_is_reported(
    guarded: GuardedKafka, sinks: Sinks, aws: pytest.MonkeyPatch
) -> None:
    """If this fails, nobody learns that a role, a region or a key is the wrong one, or the key is in the log (P8)."""
    aws.setenv("AWS_SECRET_ACCESS_KEY", "an0ther-key")
    error = await refusal(sinks.make(**guarded.iam()))
    assert error.code == "authentication"
    assert "refuses the login by AWS_MSK_IAM with the token (signed at 2" in error.message
    assert f"{ACCESS_KEY}/" in error.message
    assert f"/{REGION}/kafka-cluster/" in error.message
    assert "an0ther-key" not in str(error)
    aws.delenv("AWS_ACCESS_KEY_ID")
    error = await refusal(sinks.make(**guarded.iam()))
    assert "No token for AWS_MSK_IAM: no AWS credentials were found." in error.message


async def test_the_role_of_a_service_account(
    guarded: GuardedKafka, sinks: Sinks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """If this fails, IRSA on EKS lets nobody in, or only until kubelet has renewed the token of the service account."""
    file = tmp_path / "token"
    with running_sts(ACCESS_KEY, SECRET_KEY) as sts:
        for name, value in {**NOWHERE_ELSE, **identity(file, sts)}.items():
            monkeypatch.setenv(name, value)
        sink = sinks.make(**guarded.iam())
        for word in ("first", "second"):
            sts.token = word
            error = await refusal(sink)
            assert "No token for AWS_MSK_IAM: " in error.message
            file.write_text(word)
            await sink.open()
            assert await sink.publish(batch(entry(1))) == [Published()]
            await sink.close()
    assert "ExpiredToken" in error.message
    assert set(sts.granted) == {"first", "second"}


def config_of(sink: KafkaSink, **keys: Any) -> Config:
    """The sink's configuration with other secrets."""
    before = sink._config.model_dump()
    secrets = {name: value.get_secret_value() for name, value in before.items() if hasattr(value, "get_secret_value")}
    return Config(**before | secrets | keys)


async def test_a_token_that_cannot_be_renewed_loses_nothing(guarded: GuardedKafka, sinks: Sinks) -> None:
    """P2 broken: events would be lost or doubled while the provider is away, or the relay would not go on after it."""
    load = Load(sink := sinks.make(**guarded.oauth(BRIEF)), sinks)
    await sink.open()
    guarded.provider.stop()
    try:
        with pytest.raises(SinkUnavailable):
            await load.publish(20 * ENDS_AFTER)
        error = await refusal(sink)
        assert "token endpoint" in error.message
        assert "cannot be reached" in error.message
    finally:
        guarded.provider.start()
    await go_on(load)


async def go_on(load: Load) -> None:
    """As the publisher does after ``SinkUnavailable``."""
    held = await load.sink.open()
    assert held is not None
    assert held.offset - load.published in (0, 10)
    load.published = held.offset
    await load.publish()
    await load.verify()


Change = Callable[[GuardedKafka], tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]
"""Keys of a sink, good ones to go on with, and bad ones."""


def passwords(guarded: GuardedKafka) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Another user of PLAIN, and one with a wrong password."""
    keys = guarded.password("relay", PASSWORDS["relay"])
    other = {"sasl_plain_username": "other", "sasl_plain_password": PASSWORDS["other"]}
    return keys, other, {"sasl_plain_password": "wr0ng-word"}


def certificates(guarded: GuardedKafka) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Another certificate of the authority, and one that has ended."""
    good, other, ended = (guarded.certificate(*guarded.authority.issue(name, days)) for name, days in ISSUED)
    return good, other, ended


ISSUED = (("good", 2), ("other", 2), ("ended", 0))


def tokens(guarded: GuardedKafka) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Another token from the file, and one that has expired."""
    ended = guarded.provider.token(exp=int(time.time()) - 60)
    good, other = (guarded.token(guarded.provider.token(jti=name)) for name in ("one", "other"))
    return good, other, guarded.token(ended)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param(passwords, "authentication", id="PLAIN"),
        pytest.param(certificates, "tls_failed", id="certificate"),
        pytest.param(tokens, "authentication", id="token"),
    ],
)
async def test_credentials_are_changed_while_events_are_published(
    guarded: GuardedKafka, sinks: Sinks, change: Change, code: str
) -> None:
    """If this fails, a rotation needs a restart, or loses or repeats what is under way; or a wrong secret ends all."""
    keys, other, bad = change(guarded)
    load = Load(sink := sinks.make(**keys), sinks)
    await sink.open()
    await load.publish(0.3)
    sink.reconfigure(config_of(sink, **other))
    await kept(load, 0.3)
    sink.reconfigure(config_of(sink, **bad))
    with pytest.raises(SinkUnavailable) as caught:
        await load.publish()
    assert caught.value.code == code, caught.value
    explained(caught.value)
    assert caught.value.hint
    sink.reconfigure(config_of(sink, **other))
    await go_on(load)


async def test_a_relay_goes_on_with_what_has_changed_in_its_files(
    guarded: GuardedKafka, sinks: Sinks, tmp_path: Path
) -> None:
    """If this fails, a rotation in Kubernetes stops the events, loses or repeats some, or needs a restart."""
    guarded.set_scram("rotated", "first-word")
    word = tmp_path / "word"
    word.write_text("first-word")
    keys = guarded.password("rotated", "", "SCRAM-SHA-512") | {"type": "kafka", "prefix": sinks.prefix}
    del keys["sasl_plain_password"]
    relay = RelayProcess(tmp_path / "relay", sinks=[{**keys, "sasl_plain_password_file": str(word)}])
    await relay.start()
    try:
        enough = asyncio.Event()
        delivering = asyncio.create_task(deliveries(relay, enough))
        await asyncio.to_thread(guarded.set_scram, "rotated", "second-word")
        word.write_text("second-word")
        assert relay.process is not None
        relay.process.send_signal(signal.SIGHUP)
        await relay.until_logged("sinks.0.sasl_plain_password", within=60)
        await asyncio.sleep(1.1 * ENDS_AFTER)  # the login with the first password has ended
        enough.set()
        delivered = await delivering
        await relay.until_drained()
        assert not any(secret in relay.log.read_text() for secret in ("first-word", "second-word"))
    finally:
        relay.kill()
    assert await sinks.ids() == sorted(f"{task}:succeeded" for task in delivered)


async def deliveries(relay: RelayProcess, enough: asyncio.Event) -> list[str]:
    """Delivers results one after the other; the tasks whose results were accepted."""
    tasks: list[str] = []
    async with aiohttp.ClientSession() as session:
        while not enough.is_set():
            task = f"t-{len(tasks)}"
            body = {"task": {"task_id": task, "status": "TASK_STATUS_SUCCEED"}}
            async with session.post(relay.webhook_url, json=body) as response:
                assert response.status == 200
            tasks.append(task)
    return tasks


async def test_only_certificates_of_the_authority_are_let_in(guarded: GuardedKafka, sinks: Sinks) -> None:
    """If this fails, a broker with ssl.client.auth=required cannot be reached, or nobody learns what it misses."""
    error = await refusal(sinks.make(**guarded.certificate(None, None)))
    assert error.code == "tls_failed"
    assert "ssl_certfile" in error.hint
    error = await refusal(sinks.make(**guarded.certificate(*guarded.stranger.issue("relay"))))
    assert error.code == "tls_failed"
    await asyncio.to_thread(guarded.allow, "User:CN=relay", sinks.prefix)
    cert, key = guarded.authority.issue("relay")
    sink = sinks.make(**guarded.certificate(cert, key))
    await sink.open()
    assert await sink.publish(batch(entry(1))) == [Published()]
    error = await refusal(sinks.make("second", **guarded.certificate(*guarded.authority.issue("intruder"))))
    assert error.code == "authorization"
    assert sinks.prefix in error.message


async def test_the_steps_show_how_far_it_goes(guarded: GuardedKafka, sinks: Sinks) -> None:
    """If this fails, an operator does not learn whether name, network, TLS, login or rights are to blame."""
    sink = sinks.make(**guarded.oauth(), topics={"chat": f"{sinks.prefix}denied.chat"})
    found = {name: await take() for name, take in sink.steps()}
    assert list(found) == ["resolve", "connect", "tls", "authenticate", "produce", "authorize"]
    assert found["tls"].startswith("TLSv1.3, TLS_")
    assert "the certificate of the broker ends in 2 days" in found["tls"]
    assert "let in by OAUTHBEARER, with the token (issuer http" in found["authenticate"]
    assert f"{sinks.prefix}denied.chat" in found["authorize"]
    await sink.close()
    await asyncio.to_thread(guarded.allow, "User:relay", f"{sinks.prefix}denied.", "Describe")
    steps = dict(sink.steps())
    await steps["produce"]()
    with pytest.raises(SinkUnavailable, match=rf"rights are missing on the topic {sinks.prefix}denied\.chat") as caught:
        await steps["authorize"]()
    assert caught.value.code == "authorization"
