"""Checks or creates the topics, before any predecessor is fenced."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import NoError, TopicAlreadyExistsError, TopicAuthorizationFailedError, for_code
from aiokafka.protocol.metadata import MetadataRequest

from relay.core.sink import SinkUnavailable
from relay.sinks.kafka.checkpoint import TOPIC_CONFIG
from relay.sinks.kafka.client import let_go, start
from relay.sinks.kafka.config import Config
from relay.sinks.kafka.errors import unauthorized


async def ensure_topics(config: Config, options: dict[str, Any], topics: Sequence[str], checkpoint_topic: str) -> None:
    """Create what is missing, if allowed to. Raises ``SinkUnavailable`` that names what stays missing."""
    async with administering(options) as admin:
        missing = await _missing(admin, [*map(config.name_of, topics), checkpoint_topic], config.principal)
        if missing and not config.create_topics:
            raise SinkUnavailable(
                "topics_missing",
                f"Topics are missing: {', '.join(missing)}.",
                hint=f"Create them ({checkpoint_topic} with one partition and cleanup.policy=compact), "
                "or set create_topics: true.",
            )
        if missing:
            await _create(admin, [_new_topic(config, name, checkpoint_topic) for name in missing], config.principal)
        await _check_compaction(admin, checkpoint_topic)


async def exists(config: Config, options: dict[str, Any], topic: str) -> bool:
    """Whether there is such a topic. Raises ``SinkUnavailable`` where that is not for the relay to know."""
    async with administering(options) as admin:
        return not await _missing(admin, [topic], config.principal)


@asynccontextmanager
async def administering(options: dict[str, Any]) -> AsyncIterator[Any]:
    """An admin client, started, and let go without waiting for the broker."""
    admin = AIOKafkaAdminClient(**options)
    try:
        await start(admin, options)
        yield admin
    finally:
        await let_go(admin._client, admin.close)


async def described(admin: Any, names: Sequence[str]) -> Sequence[Any]:
    """These topics' metadata: for each its error code, name, whether it is internal, and its partitions.

    Asked in a way that does not make the broker create them, as its ``auto.create.topics.enable`` would.
    """
    answer = await admin._send_request(MetadataRequest(list(names), allow_auto_topic_creation=False))
    topics: Sequence[Any] = answer.topics
    return topics


async def _missing(admin: Any, names: Sequence[str], whom: str) -> list[str]:
    errors = {name: for_code(code) for code, name, *_ in await described(admin, names)}
    refused = [name for name, error in errors.items() if error is TopicAuthorizationFailedError]
    if refused:
        raise unauthorized(f"describing the topics {', '.join(refused)}", whom)
    return [name for name in names if errors.get(name, NoError).errno == 3]


def _new_topic(config: Config, name: str, checkpoint_topic: str) -> Any:
    of_checkpoint = name == checkpoint_topic
    # With -1 ("as the broker is set", KIP-464) NewTopic insists on being given assignments too.
    assignments: Mapping[int, Sequence[int]] | None = {} if config.replication_factor == -1 else None
    return NewTopic(
        name,
        num_partitions=1 if of_checkpoint else config.partitions,
        replication_factor=config.replication_factor,
        replica_assignments=assignments,
        topic_configs=TOPIC_CONFIG if of_checkpoint else {},
    )


async def _create(admin: Any, topics: Sequence[Any], whom: str) -> None:
    answer = await admin.create_topics(topics)
    for name, code, *detail in answer.topic_errors:
        error = for_code(code)
        if error in (NoError, TopicAlreadyExistsError):
            continue
        if error is TopicAuthorizationFailedError:
            raise unauthorized(f"creating the topic {name}", whom)
        raise SinkUnavailable(
            "topics_missing",
            f"The topic {name} cannot be created: {detail[0] if detail and detail[0] else error.__name__}",
            hint="Create it by hand, or change partitions and replication_factor.",
        )


async def _check_compaction(admin: Any, topic: str) -> None:
    """A checkpoint that ages away would repeat the journal. Without the right to look, the operator is trusted."""
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    for answer in answers:
        for code, _, _, _, entries in answer.resources:
            policy = next((entry[1] for entry in entries if entry[0] == "cleanup.policy"), None)
            if code == 0 and policy is not None and policy != "compact":
                raise SinkUnavailable(
                    "topic_not_compacted",
                    f"The topic {topic} has cleanup.policy={policy}, which would delete the checkpoint in time.",
                    hint="Set cleanup.policy=compact on it.",
                )
