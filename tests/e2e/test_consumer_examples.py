"""The examples under docs/consumers against a real Kafka, a real Redis and a real relay, as a newcomer runs them.

Each reads the same topics: events of a relay, every second one repeated, transactions that were aborted, and what later
releases may bring. It is killed in the middle, fails at an effect, and is started again, and again.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.consumers.examples import (
    CONSUMERS,
    GENERATED,
    Consumer,
    Example,
    Installation,
    checkout,
    environment,
    fresh,
    generate,
)
from tests.e2e.consumers.published import NEXT_SCHEMA, Published, published, published_by_a_successor
from tests.services.kafka import Kafka
from tests.services.redis import Redis
from tests.setup.cache import run_installer

EXAMPLES = [
    Example("python", "kafka"),
    Example("python", "redis"),
    Example("python", "http"),
    Example("node"),
    Example("go"),
    Example("java"),
]
LANGUAGES = sorted({example.language for example in EXAMPLES})
BEFORE_THE_KILL = 5
"""Lines read until ``kill -9``; fewer than half of what there is have left the consumer by then."""


@pytest.fixture(scope="module")
def places(
    tmp_path_factory: pytest.TempPathFactory, kafka: Kafka, redis_server: Redis
) -> Iterator[Mapping[str, Published]]:
    relay, places = asyncio.run(published(tmp_path_factory.mktemp("relay"), kafka, redis_server))
    yield places
    asyncio.run(relay.stop())


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_each_event_has_its_effect_once(example: Example, places: Mapping[str, Published], tmp_path: Path) -> None:
    """A program that was started from an example would lose effects, or repeat them, after a crash."""
    there = places[example.reads]
    installation = fresh(example, tmp_path, there.variables)
    with installation.running() as consumer:
        for _ in range(BEFORE_THE_KILL):
            consumer.line()
    assert installation.seen() < there.ids(), "it was killed in the middle"

    _fails_at_an_effect(installation, there)

    left = set(there.lasts.values()) - {there.lasts.get(event_id) for event_id in installation.seen()}
    with installation.running() as consumer:
        _until_had(consumer, left)
    assert installation.seen() == there.ids()
    assert installation.effects() == there.effects()


def _fails_at_an_effect(installation: Installation, there: Published) -> None:
    """One effect cannot be had; the process ends. Neither that effect is there, nor that the event was seen."""
    victim = there.victim(installation.seen())
    condition = f"WHEN NEW.task_id = '{victim.subject}'"
    installation.sql(f"CREATE TRIGGER full BEFORE INSERT ON outputs {condition} BEGIN SELECT RAISE(ABORT, 'full'); END")
    with installation.running() as consumer:
        assert consumer.ends() != 0
        assert "full" in consumer.errors
    assert victim.id not in installation.seen()
    installation.sql("DROP TRIGGER full")


def _until_had(consumer: Consumer, subjects: set[str | None]) -> None:
    while subjects:
        subjects.discard(consumer.line().split()[-1])


@pytest.fixture(scope="module")
def successors(kafka: Kafka, redis_server: Redis) -> Mapping[str, Mapping[str, str]]:
    return asyncio.run(published_by_a_successor(kafka, redis_server))


@pytest.mark.parametrize("example", [each for each in EXAMPLES if each.reads != "http"], ids=str)
def test_an_event_of_another_schema_is_not_acted_on(
    example: Example, successors: Mapping[str, Mapping[str, str]], tmp_path: Path
) -> None:
    """A consumer would misread, or skip for good, what a later release publishes in another form."""
    installation = fresh(example, tmp_path, successors[example.reads])
    for _ in ("the first time", "and again: it was not passed over"):
        with installation.running() as consumer:
            assert consumer.ends() != 0
            assert NEXT_SCHEMA in consumer.errors
    assert installation.seen() == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_types_are_those_of_the_schemas(language: str, tmp_path: Path) -> None:
    """An example would be written against fields that events no longer have, or lack those that they have now."""
    committed = contents(CONSUMERS / language / GENERATED[language])
    stale = "after a change of the schemas: python -m tests.e2e.consumers.examples"
    assert contents(generate(language, tmp_path)) == committed, stale


def contents(folder: Path) -> dict[Path, str]:
    """Its files' texts, by path."""
    return {path.relative_to(folder): path.read_text() for path in folder.rglob("*.*")}


def test_the_python_programs_keep_to_the_types(tmp_path: Path) -> None:
    """The types would be decoration: a field that is gone would be found by a consumer's crash."""
    checkout("python", tmp_path)
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", ".venv/bin/python"]
    run_installer([*command, "ledger.py", "from_http.py"], tmp_path, environment())


def test_the_javascript_program_keeps_to_the_types(tmp_path: Path) -> None:
    """As in Python: nothing else looks at the types before a consumer crashes. Go and Java do when they build."""
    checkout("node", tmp_path)
    run_installer(["npm", "run", "--silent", "check"], tmp_path, environment())
