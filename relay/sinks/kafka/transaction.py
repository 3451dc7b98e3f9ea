"""One transaction, from its beginning until the broker confirms the commit, or the first batch fails.

Every future is awaited before the commit: aiokafka commits happily around a failed record (reliability trap A).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence, Set
from contextlib import aclosing
from typing import Any

from aiokafka.errors import IllegalOperation

from relay.sinks.kafka.client import Session
from relay.sinks.kafka.errors import OUT_OF_SEQUENCE, TOO_LARGE
from relay.sinks.kafka.records import RecordBatch

Requests = AsyncGenerator[Sequence[RecordBatch], None]
"""The record batches of a transaction, in the order in which they are sent. Others are packed while some are sent."""

_Sent = list[tuple[RecordBatch, asyncio.Future[Any]]]


async def at_once(batches: Sequence[RecordBatch]) -> Requests:
    yield batches


async def transact(session: Session, requests: Requests) -> list[tuple[RecordBatch, Any]]:
    """Begin, send all, await each, commit. Answers each batch's metadata or, nothing being committed, its refusal.

    After a failure no more are sent. What ``requests`` raises before its first answer is raised before the begin.
    """
    producer = session.producer
    sent: _Sent = []
    async with aclosing(requests):
        first = await anext(requests)
        await producer.begin_transaction()
        try:
            complete = await _send_all(producer, first, requests, sent)
            await asyncio.wait([future for _, future in sent])
        except BaseException:
            _forget(sent)
            raise
    results = [(batch, future.exception() or future.result()) for batch, future in sent]
    refused = {(batch.topic, batch.partition) for batch, result in results if is_too_large(result)}
    for batch, result in results:
        if isinstance(result, BaseException) and not _follows_from(refused, batch, result):
            raise result
    if not any(isinstance(result, BaseException) for _, result in results):
        if not complete:
            raise IllegalOperation("The client has given the transaction up.")
        await producer.commit_transaction()
    return results


async def _send_all(producer: Any, first: Sequence[RecordBatch], others: Requests, sent: _Sent) -> bool:
    """Notes what was sent. ``False``: not all were, since one failed, or the client has given the transaction up; what
    became of those that were says why.
    """
    try:
        await _send(producer, first, sent)
        async for batches in others:
            if any(future.done() and future.exception() is not None for _, future in sent):
                return False
            await _send(producer, batches, sent)
    except IllegalOperation:
        if not sent:
            raise
        return False
    return True


async def _send(producer: Any, batches: Sequence[RecordBatch], sent: _Sent) -> None:
    for batch in batches:
        future = await producer.send_batch(batch.builder, batch.topic, partition=batch.partition)
        sent += [(batch, future)]


def is_too_large(result: Any) -> bool:
    """Whether the broker refused a batch for its size."""
    return isinstance(result, TOO_LARGE)


def _follows_from(refused: Set[tuple[str, int]], batch: RecordBatch, error: BaseException) -> bool:
    """Whether this failure is a refusal as too large, or what a refusal does to the same partition's next batches.

    A refused batch has used up sequence numbers that the broker never saw (reliability trap B). Taken for a failure
    of its own, this would make the relay try again forever, and the refusal would never be seen.
    """
    return is_too_large(error) or (isinstance(error, OUT_OF_SEQUENCE) and (batch.topic, batch.partition) in refused)


def _forget(sent: _Sent) -> None:
    """Nobody will await these: keep asyncio from reporting their failures at some later garbage collection."""
    for _, future in sent:
        if not future.cancel() and not future.cancelled():
            future.exception()
