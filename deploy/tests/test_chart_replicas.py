"""The number of replicas: which numbers the chart refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.render import CHART
from deploy.tests.manifests import refusal_of, stateful_with

KAFKA = {"type": "kafka", "bootstrap_servers": "kafka:9092"}
REDIS = {"type": "redis", "url": "redis://redis:6379/0"}
SHARING_REDIS = {**REDIS, "shared_window": "7d"}
INDEX = {"shared_index": "redis://redis:6379/1"}
INDEX_FILE = {"shared_index_file": "/etc/relay/secrets/index"}
INDEX_IN_ENV = [{"name": "RELAY_DEDUP__SHARED_INDEX", "value": "redis://redis:6379/1"}]
AUTOSCALED = {"autoscaling": {"enabled": True, "minReplicas": 1, "maxReplicas": 2}}


def test_one_replica_is_the_default(tmp_path: Path) -> None:
    """With Kafka and no shared index, two replicas publish a task twice that both got: two records were measured."""
    assert stateful_with(tmp_path, config={"sinks": [KAFKA]})["spec"]["replicas"] == 1


@pytest.mark.parametrize("count", [{"replicaCount": 2}, AUTOSCALED], ids=["fixed", "autoscaled"])
@pytest.mark.parametrize(
    ("config", "lacking"),
    [
        ({"sinks": [KAFKA]}, "config.sinks[0] is kafka and config.dedup.shared_index is not set"),
        ({"sinks": [REDIS]}, "config.sinks[0], a Redis, has no shared_window"),
        ({"sinks": [SHARING_REDIS, KAFKA]}, "config.sinks[1] is kafka and config.dedup.shared_index is not set"),
        ({"sinks": [KAFKA, REDIS], "dedup": INDEX}, "config.sinks[1], a Redis, has no shared_window"),
        ({"sinks": [{**REDIS, "shared_window": None}]}, "config.sinks[0], a Redis, has no shared_window"),
        ({"sinks": [KAFKA], "dedup": {"window": "7d"}}, "config.dedup.shared_index is not set"),
        ({}, "config.sinks is empty"),
    ],
    ids=["kafka", "redis", "only-one-shares", "index-is-not-for-redis", "null-is-none", "no-index", "no-sink"],
)
def test_replicas_that_would_repeat_each_other_are_refused(
    count: dict[str, Any], config: dict[str, Any], lacking: str, tmp_path: Path
) -> None:
    """A webhook that two replicas accept would be two events, and nobody would have been warned."""
    message = refusal_of(tmp_path, config=config, **count)
    assert lacking in message
    assert ("autoscaling.maxReplicas" if "autoscaling" in count else "replicaCount") + " allows 2 replicas" in message
    assert "would then be two events" in message
    assert "allowRepeats: true" in message
    assert "docs/how-to/several-replicas.md" in message


@pytest.mark.parametrize("count", [{"replicaCount": 2}, AUTOSCALED], ids=["fixed", "autoscaled"])
@pytest.mark.parametrize(
    "values",
    [
        {"config": {"sinks": [KAFKA], "dedup": INDEX}},
        {"config": {"sinks": [KAFKA], "dedup": INDEX_FILE}},
        {"config": {"sinks": [KAFKA]}, "extraEnv": INDEX_IN_ENV},
        {"config": {"sinks": [SHARING_REDIS]}},
        {"config": {"sinks": [SHARING_REDIS, KAFKA], "dedup": INDEX}},
        {"config": {"sinks": [KAFKA, REDIS]}, "allowRepeats": True},
        {"allowRepeats": True},
    ],
    ids=["kafka", "kafka-file", "kafka-environment", "redis", "both", "repeats", "repeats-without-sink"],
)
def test_replicas_that_share_what_they_know_are_welcome(
    count: dict[str, Any], values: dict[str, Any], tmp_path: Path
) -> None:
    """Somebody who has done all that is asked could not scale."""
    assert stateful_with(tmp_path, **count, **values)["spec"].get("replicas") in (2, None)


def test_what_is_named_as_the_place_to_read_is_there() -> None:
    """A refusal would send its reader nowhere."""
    pages = {word for word in (CHART / "templates" / "_checks.tpl").read_text("utf-8").split() if "docs/" in word}
    assert pages
    for page in pages:
        assert (CHART.parents[2] / page.strip('"')).is_file(), page
