"""What topics lack for the promises: how many brokers may fail, and whether subjects stay in their partitions.

https://kafka.apache.org/documentation/#design_ha and the topic settings ``min.insync.replicas`` and
``unclean.leader.election.enable``. The relay publishes with ``acks=all``, which is as much as the topic makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from relay.core.sink import Advice
from relay.sinks.kafka.topics import administering, described

_INSYNC, _UNCLEAN = "min.insync.replicas", "unclean.leader.election.enable"


@dataclass(frozen=True, slots=True)
class Durability:
    """What a topic promises. ``replicas``: of the partition that has the fewest; settings that may not be asked for
    are ``None``."""

    topic: str
    replicas: int
    partitions: int
    min_insync: int | None = None
    unclean: bool | None = None


async def durability(options: dict[str, Any], topics: Sequence[str]) -> list[Durability]:
    """Asks for the topics that are there. Raises what aiokafka raises."""
    async with administering(options) as admin:
        shapes = {
            name: (min(len(partition[3]) for partition in partitions), len(partitions))
            for code, name, _, partitions in await described(admin, topics)
            if code == 0 and partitions
        }
        settings = await _settings(admin, list(shapes))
    return [_durability(name, *shape, settings.get(name, {})) for name, shape in shapes.items()]


async def _settings(admin: Any, topics: Sequence[str]) -> dict[str, dict[str, str]]:
    """By topic. Those that the relay has no right to look at are left out."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, {_INSYNC: None, _UNCLEAN: None}) for name in topics]
    answers = await admin.describe_configs(resources) if resources else []
    return {
        name: {entry[0]: entry[1] for entry in entries}
        for answer in answers
        for code, _, _, name, entries in answer.resources
        if code == 0
    }


def _durability(topic: str, replicas: int, partitions: int, settings: Mapping[str, str]) -> Durability:
    insync, unclean = settings.get(_INSYNC), settings.get(_UNCLEAN)
    return Durability(
        topic,
        replicas,
        partitions,
        None if insync is None else int(insync),
        None if unclean is None else unclean == "true",
    )


def advice_on(found: Sequence[Durability], partitions: int) -> list[Advice]:
    """What could be lost although it was acknowledged, the worst first; empty when one broker may be lost at any time.

    A topic with a single replica gets that advice only: nothing else would help it. ``partitions``: how many the
    configuration says that a topic has; where there are more, they may have been added.
    """
    alone = [each.topic for each in found if each.replicas == 1]
    replicated = [each for each in found if each.replicas > 1]
    by_one = [each.topic for each in replicated if each.min_insync == 1]
    unclean = [each.topic for each in replicated if each.unclean]
    advice = []
    if alone:
        message = f"{_named(alone)} on one broker only: if its disk is lost, acknowledged events are lost."
        hint = "Give them three replicas (kafka-reassign-partitions) and min.insync.replicas=2."
        advice.append(Advice("not_replicated", message, hint))
    if by_one:
        message = f"{_named(by_one)} acknowledged by one broker alone while the others are behind."
        advice.append(Advice("acknowledged_by_one", message, f"Set {_INSYNC}=2, with three replicas."))
    if unclean:
        message = f"{_named(unclean)} led by a broker that lacks acknowledged events if no other is available."
        advice.append(Advice("unclean_election", message, f"Set {_UNCLEAN}=false."))
    return [*advice, *(_moved(each, partitions) for each in found if each.partitions > partitions)]


def _moved(found: Durability, partitions: int) -> Advice:
    message = (
        f"The topic {found.topic} has {found.partitions} partitions, partitions says {partitions}: where they were "
        "added, subjects have moved, and their events from before and after it have no order."
    )
    hint = f"Set partitions to {found.partitions}; docs/consumers.md says what consumers must do after such a change."
    return Advice("partitions_added", message, hint)


def _named(topics: Sequence[str]) -> str:
    kind = "The topic" if len(topics) == 1 else "The topics"
    return f"{kind} {', '.join(sorted(topics))} {'is' if len(topics) == 1 else 'are'}"
