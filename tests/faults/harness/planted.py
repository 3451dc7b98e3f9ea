"""Bugs of the kinds that others have shipped, planted to show that the oracle finds them.

Each replaces one function by its name, in a process that ``tests.faults.harness.launch`` starts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from relay.core.cloudevents import redis_fields
from relay.core.event import Draft, Receipt
from relay.core.sink import Batch, Published, SinkUnavailable
from relay.journal.dedup_index import _merge_sql
from relay.journal.errors import JournalUnavailable
from relay.journal.plan import Plan
from relay.journal.store import Appended, Progress, Store
from relay.sinks.redis.sink import RedisSink
from tests.faults.harness.places import Function, replace

_PAUSE = 0.2
"""Seconds between the two steps in the wrong order: far longer than the steps, so that most kills fall in between."""

_SINKS = ("relay.sinks.kafka.sink:KafkaSink", "relay.sinks.redis.sink:RedisSink")


def checkpoint_before_publish() -> None:
    """The checkpoint is moved first and the events follow: a crash in between loses them."""

    def wrap(publish: Function) -> Function:
        async def planted(sink: Any, batch: Batch) -> Any:
            await publish(sink, Batch([], batch.checkpoint))
            await asyncio.sleep(_PAUSE)
            return await publish(sink, batch)

        return planted

    _on_each_sink("publish", wrap)


def key_before_event() -> None:
    """The dedup key is recorded first, the event in a second transaction: a crash in between makes the sender's
    repetition a duplicate of nothing."""

    def wrap(append: Function) -> Function:
        def planted(
            store: Store, drafts: Sequence[Draft], now: int, progress: Mapping[str, Progress] | None = None
        ) -> Appended:
            plan = Plan(store.last_offset, now)
            plan.add_all(drafts, store._index.known)
            fresh = [(*key, now) for key in plan.new_keys]
            known = store._index.known
            if fresh:
                store._db.execute(_merge_sql(len(fresh)), [value for row in fresh for value in row])
                time.sleep(_PAUSE)
            mine = {row[0] for row in fresh}
            store._index.known = lambda keys: {k: v for k, v in known(keys).items() if k not in mine}  # type: ignore[method-assign]
            try:
                return append(store, drafts, now, progress)  # type: ignore[no-any-return]
            finally:
                store._index.known = known  # type: ignore[method-assign]

        return planted

    replace("relay.journal.store:Store.append", wrap)


def swallowed_send_error() -> None:
    """What could not be sent counts as sent."""

    def wrap(publish: Function) -> Function:
        async def planted(sink: Any, batch: Batch) -> Any:
            with suppress(SinkUnavailable):
                return await publish(sink, batch)
            return [Published()] * len(batch.entries)

        return planted

    _on_each_sink("publish", wrap)


def plain_xadd() -> None:
    """Redis without the script: one XADD per event, by a client that repeats what it has no answer to."""

    def wrap(_: Function) -> Function:
        async def planted(sink: RedisSink, wire: Any, batch: Batch) -> set[int]:
            url, lost = sink._config.url.get_secret_value(), [RedisConnectionError, RedisTimeoutError]
            async with Redis.from_url(url, retry=Retry(NoBackoff(), 3), retry_on_error=lost) as client:
                for entry in batch.entries:
                    names = redis_fields(entry.event)
                    fields = dict(zip(names[::2], names[1::2], strict=True))
                    await client.xadd(sink._config.prefix + entry.event.topic, fields)  # type: ignore[arg-type]
                checkpoint = batch.checkpoint
                mapping = {"journal_id": checkpoint.journal_id, "offset": str(checkpoint.offset)}
                await client.hset(sink._keys[0], mapping=mapping)
            sink._held = checkpoint
            return set()

        return planted

    replace("relay.sinks.redis.sink:RedisSink._append", wrap)


def answer_before_commit() -> None:
    """The sender hears 2xx as soon as its delivery is handed to the journal, whatever that makes of it."""

    def wrap(append: Function) -> Function:
        def planted(journal: Any, draft: Draft) -> Any:
            with suppress(JournalUnavailable):
                append(journal, draft).add_done_callback(asyncio.Future.exception)
            answer = asyncio.get_running_loop().create_future()
            answer.set_result(Receipt("accepted", draft.event.id, 0))
            return answer

        return planted

    replace("relay.journal.journal:Journal.append", wrap)


def _on_each_sink(method: str, wrap: Callable[[Function], Function]) -> None:
    for sink in _SINKS:
        replace(f"{sink}.{method}", wrap)


BUGS: dict[str, Callable[[], None]] = {
    bug.__name__: bug
    for bug in (
        checkpoint_before_publish,
        key_before_event,
        swallowed_send_error,
        plain_xadd,
        answer_before_commit,
    )
}
