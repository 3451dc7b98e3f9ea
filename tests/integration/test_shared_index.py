"""The index that replicas share, on a real Redis: who publishes, who waits, who skips."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from relay.core.dedup import judge
from relay.core.event import Draft, Entry
from relay.core.publishing.claims import NO_STATEMENT, Claimed, Fact, IndexUnavailable, facts_of
from relay.sinks.redis import shared_index
from relay.sinks.redis.shared_index import INDEX_RIGHTS, RedisIndex
from tests.services.redis import RedisServer
from tests.services.tcp_proxy import TcpProxy
from tests.unit.drafts import dead_draft, draft

WITHIN = 30.0
LEASE = 60.0
WINDOW = 3600.0

MakeIndex = Callable[..., RedisIndex]


@pytest.fixture
async def replica(server: RedisServer) -> AsyncIterator[MakeIndex]:
    """Makes the index as a replica sees it: ``replica("a")``; ``origin`` is its journal."""
    made: list[RedisIndex] = []

    def make(
        identity: str, *, origin: str = "journal", lease: float = LEASE, scope: str = "kafka", port: int | None = None
    ) -> RedisIndex:
        url = f"redis://127.0.0.1:{port or server.port}/0"
        owner = f"{identity}-{origin}"
        made.append(
            RedisIndex({"url": url}, scope=scope, identity=identity, origin=lambda: owner, lease=lease, window=WINDOW)
        )
        return made[-1]

    yield make
    for each in made:
        await each.close()


def fact(offset: int, of: Draft) -> Fact:
    [found] = facts_of([Entry(offset, 0, of.event, None, of.key, of.fingerprint)])
    return found


def ended(task: str, offset: int, *, says: str = "x") -> Fact:
    return fact(offset, draft(task, says=says))


def verdicts(claimed: Claimed) -> list[str]:
    return list(claimed.verdicts)


async def published(index: RedisIndex, *facts: Fact) -> None:
    assert verdicts(await index.claim(facts)) == ["ours"] * len(facts)
    assert await index.confirm(facts) == 0


async def test_a_fact_is_one_replicas_to_publish(replica: MakeIndex) -> None:
    """P4 broken: what two replicas have accepted would be published twice, or by nobody."""
    a, b = replica("a"), replica("b")
    assert verdicts(await a.claim([ended("t", 1)])) == ["ours"]
    assert verdicts(await b.claim([ended("t", 9)])) == []  # not known yet whether it will be
    assert await a.confirm([ended("t", 1)]) == 0
    assert verdicts(await b.claim([ended("t", 9)])) == ["absorbed"]
    assert verdicts(await b.claim([ended("u", 10)])) == ["ours"]


async def test_nothing_is_claimed_behind_what_another_replica_holds(replica: MakeIndex) -> None:
    """Two replicas could wait for each other, each holding what the other one needs first, forever."""
    a, b = replica("a"), replica("b")
    await a.claim([ended("t2", 1)])
    facts = [ended("t1", 1), ended("t2", 2), ended("t3", 3)]
    assert verdicts(await b.claim(facts)) == ["ours"]
    assert verdicts(await a.claim([ended("t3", 2)])) == ["ours"]


async def test_another_ending_contradicts_and_is_one_replicas_too(replica: MakeIndex) -> None:
    """P4 broken: a contradiction between replicas would be published by each of them, or be taken for a repetition."""
    a, b, c = replica("a"), replica("b"), replica("c")
    await published(a, ended("t", 1))
    other = ended("t", 5, says="y")
    assert verdicts(await b.claim([other])) == ["contradicts"]
    assert verdicts(await c.claim([ended("t", 7, says="y")])) == []
    assert await b.confirm([other]) == 0
    assert verdicts(await c.claim([ended("t", 7, says="y")])) == ["absorbed"]
    assert verdicts(await c.claim([ended("t", 8, says="z")])) == ["contradicts"]


async def test_the_order_in_which_replicas_learn_two_endings_does_not_matter(replica: MakeIndex) -> None:
    """An ending that is published as the task's own by one replica would be published as a contradiction by another."""
    a, b = replica("a"), replica("b")
    first, second = draft("t", says="x"), draft("t", says="y")
    y_contradicts, x_contradicts = judge(second, first.fingerprint), judge(first, second.fingerprint)
    assert y_contradicts is not None
    assert x_contradicts is not None
    in_a = [fact(1, first), fact(2, y_contradicts)]
    in_b = [fact(1, second), fact(2, x_contradicts)]
    assert verdicts(await a.claim(in_a)) == ["ours", "contradicts"]
    assert verdicts(await b.claim(in_b)) == []
    await a.confirm(in_a)
    assert verdicts(await b.claim(in_b)) == ["absorbed", "absorbed"]


async def test_a_contradiction_waits_until_its_original_is_published(replica: MakeIndex) -> None:
    """P3 broken: an ending would be published as a contradiction of what nobody has published yet, and may never be."""
    a, b = replica("a"), replica("b")
    other = draft("t", says="y")
    found_here = judge(draft("t", says="x"), other.fingerprint)
    assert found_here is not None
    for contradiction in (fact(1, other), fact(2, found_here)):
        await a.claim([ended("t", 1)])
        assert verdicts(await b.claim([contradiction])) == []
    await a.confirm([ended("t", 1)])
    assert verdicts(await b.claim([fact(1, other)])) == ["contradicts"]


async def test_a_replica_that_returns_has_its_claims(replica: MakeIndex) -> None:
    """After a crash a replica would wait for its own claims to run out."""
    await replica("a").claim([ended("t", 1)])
    assert verdicts(await replica("a").claim([ended("t", 1)])) == ["ours"]
    assert verdicts(await replica("b").claim([ended("t", 1)])) == []


async def test_a_replica_that_has_lost_its_journal_is_another(replica: MakeIndex) -> None:
    """The offsets of a new journal would be taken for those of the old one, and an event be repeated."""
    await published(replica("a"), ended("t", 1))
    assert verdicts(await replica("a", origin="new").claim([ended("t", 1)])) == ["absorbed"]


async def test_what_the_sink_has_lost_is_published_again_by_its_publisher(replica: MakeIndex) -> None:
    """Events that Kafka lost would stay lost, since the index says that they are there."""
    a, b = replica("a"), replica("b")
    await published(a, ended("t", 1))
    other = ended("t", 4, says="y")
    assert verdicts(await b.claim([other])) == ["contradicts"]
    await b.confirm([other])
    assert verdicts(await a.claim([ended("t", 1)])) == ["ours"]
    assert verdicts(await b.claim([other])) == ["contradicts"]
    assert verdicts(await a.claim([ended("t", 6)])) == ["absorbed"]  # the same, accepted a second time


async def test_a_dead_replicas_claim_ends_with_its_lease(replica: MakeIndex) -> None:
    """A replica that never comes back would hold up the others forever."""
    a, b = replica("a", lease=0.3), replica("b")
    await a.claim([ended("t", 1)])
    assert verdicts(await b.claim([ended("t", 1)])) == []
    async with asyncio.timeout(WITHIN):
        while not (await b.claim([ended("t", 1)])).verdicts:
            await asyncio.sleep(0.02)
    assert await a.confirm([ended("t", 1)]) == 1  # too late: it may be on the sink twice, and that is reported
    assert await b.confirm([ended("t", 1)]) == 0


async def test_what_is_released_is_anybodys_and_what_is_done_stays(replica: MakeIndex) -> None:
    """A replica that cannot publish would hold up the others; or take back what it has published."""
    a, b = replica("a"), replica("b")
    await published(a, ended("done", 1))
    await a.claim([ended("t", 2)])
    await b.release([ended("t", 2)])
    assert verdicts(await b.claim([ended("t", 9)])) == []
    await a.release([ended("done", 1), ended("t", 2)])
    assert verdicts(await b.claim([ended("done", 8), ended("t", 9)])) == ["absorbed", "ours"]


async def test_what_was_claimed_and_forgotten_is_confirmed_all_the_same(
    replica: MakeIndex, server: RedisServer
) -> None:
    """After the index has lost its memory, what was just being published would be published again by others."""
    a, b = replica("a"), replica("b")
    facts = [ended("t", 1), fact(2, dead_draft()), ended("u", 3)]
    claimed = await a.claim(facts)
    server.cli("FLUSHALL")
    assert await a.confirm(facts) == 0
    answer = await b.claim(facts)
    assert verdicts(answer) == ["absorbed"] * 3
    assert answer.memory != claimed.memory


async def test_what_is_done_lasts_for_the_window_and_claims_for_the_lease(
    replica: MakeIndex, server: RedisServer
) -> None:
    """A repetition would be published again within the window, or the index would grow without end."""
    a = replica("a", lease=30.0)
    await published(a, ended("t", 1))
    await a.claim([ended("u", 2)])
    lives = (
        "local all = {} for i, k in ipairs(redis.call('KEYS', '*')) do all[i] = redis.call('PTTL', k) end return all"
    )
    memory, claimed, done = sorted(int(left) for left in server.cli("EVAL", lives, "0").split(b"\n"))
    assert memory == -1
    assert 29_000 < claimed <= 30_000
    assert WINDOW * 1000 - 1000 < done <= WINDOW * 1000


async def test_places_are_apart(replica: MakeIndex) -> None:
    """A second sink would get nothing, since the first one has it."""
    await published(replica("a"), ended("t", 1))
    assert verdicts(await replica("a", scope="other").claim([ended("t", 1)])) == ["ours"]


async def test_thousands_of_facts_are_a_few_calls(replica: MakeIndex, server: RedisServer) -> None:
    """A full batch would take a round trip per event, or block Redis for everybody."""
    a, b = replica("a"), replica("b")
    facts = [ended(f"t{n}", n) for n in range(1, 3001)]
    await published(a, *facts)
    calls = int(server.cli("INFO", "commandstats").split(b"cmdstat_evalsha:calls=")[1].split(b",")[0])
    assert calls <= 8  # three to claim, three to confirm, and two to find the script there and be allowed to use it
    assert verdicts(await b.claim(facts)) == ["absorbed"] * 3000


async def test_facts_that_cannot_be_contradicted_are_only_repeated(replica: MakeIndex) -> None:
    """A dead letter that two replicas have made of one delivery would be published twice."""
    a, b = replica("a"), replica("b")
    letter = fact(3, dead_draft())
    assert letter.statement == NO_STATEMENT
    await published(a, letter)
    assert verdicts(await b.claim([letter._replace(offset=8)])) == ["absorbed"]


async def test_a_restart_and_a_flushed_script_cache_go_unnoticed(replica: MakeIndex, server: RedisServer) -> None:
    """A restart of Redis would leave the index away for good."""
    a, b = replica("a"), replica("b")
    await published(a, ended("t", 1))
    server.cli("SCRIPT", "FLUSH")
    assert verdicts(await b.claim([ended("t", 1)])) == ["absorbed"]
    server.kill()
    with pytest.raises(IndexUnavailable):
        await b.claim([ended("t", 1)])
    await server.start()
    assert verdicts(await b.claim([ended("t", 1)])) == ["absorbed"]


@pytest.mark.parametrize("mode", ["blackhole", "drop_replies"])
async def test_an_index_that_does_not_answer_is_given_up_in_time(
    replica: MakeIndex, server: RedisServer, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every event would wait for an index that hangs; or a late answer be taken for that to another question."""
    async with TcpProxy(server.port) as proxy:
        a = replica("a", port=proxy.port)
        await published(a, ended("t", 1))
        proxy.mode = mode  # type: ignore[assignment]
        async with asyncio.timeout(WITHIN):
            with pytest.raises(IndexUnavailable):
                await a.claim([ended("u", 2)])
        proxy.mode = "forward"
        proxy.reset()
        monkeypatch.setattr(shared_index, "TIMEOUT", 30.0)  # a busy machine may need longer for an answer that comes
        assert verdicts(await a.claim([ended("t", 9), ended("u", 2)])) == ["absorbed", "ours"]


async def test_a_refused_password_is_reported_and_not_shown(replica: MakeIndex, server: RedisServer) -> None:
    """An operator would not learn why the index is away, or find its password in the log."""
    index = RedisIndex(
        {"url": f"redis://:hush@127.0.0.1:{server.port}/0"},
        scope="kafka",
        identity="a",
        origin=lambda: "j",
        lease=1.0,
        window=1.0,
    )
    server.cli("CONFIG", "SET", "requirepass", "other")
    with pytest.raises(IndexUnavailable) as raised:
        await index.claim([ended("t", 1)])
    assert raised.value.code == "auth_failed"
    assert "hush" not in str(raised.value)


def test_an_address_of_another_kind_is_refused() -> None:
    """A misspelt address would show only when the first event is published."""
    with pytest.raises(ValueError, match="url"):
        RedisIndex({"url": "http://x"}, scope="k", identity="a", origin=lambda: "j", lease=1.0, window=1.0)


NEEDED = tuple(re.findall(r"\+([a-z|]+)", INDEX_RIGHTS))


def limited(server: RedisServer, *rules: str) -> RedisIndex:
    """The index for a user that may do what it needs and no more, but for ``rules``."""
    granted = [f"+{command}" for command in NEEDED]
    server.cli("ACL", "SETUSER", "index", "on", ">s3cret", "~{relay:*", "-@all", *granted, *rules)
    url = f"redis://index:s3cret@127.0.0.1:{server.port}/0"
    return RedisIndex({"url": url}, scope="kafka", identity="a", origin=lambda: "j", lease=LEASE, window=WINDOW)


async def test_what_the_hint_grants_is_enough(server: RedisServer) -> None:
    """An operator who grants what the hint names would have an index that cannot do all that it has to."""
    index = limited(server)
    await dict(index.steps())["authorize"]()
    await published(index, ended("t", 1))
    await index.claim([ended("u", 2)])
    await index.release([ended("u", 2)])
    await index.close()


@pytest.mark.parametrize("command", NEEDED)
async def test_a_missing_right_is_named_before_anything_is_written(server: RedisServer, command: str) -> None:
    """An index that can claim and not release would hold up the other replicas, and nothing would name the right."""
    index = limited(server, f"-{command}")
    for attempt in (dict(index.steps())["authorize"], lambda: index.claim([ended("t", 1)])):
        with pytest.raises(IndexUnavailable) as refused:
            await attempt()
        assert (refused.value.code, refused.value.hint) == ("forbidden", INDEX_RIGHTS)
        assert command.upper() in refused.value.message.upper()
    assert server.cli("DBSIZE") == b"0"


@pytest.mark.parametrize("command", ["get", "set", "time"])
async def test_a_right_that_is_taken_away_leaves_no_half_of_a_claim(server: RedisServer, command: str) -> None:
    """Some facts of a batch would be held for the lease by a replica that believes to have none of them."""
    index = limited(server)
    await dict(index.steps())["authorize"]()
    server.cli("ACL", "SETUSER", "index", f"-{command}")
    with pytest.raises(IndexUnavailable) as refused:
        await index.claim([ended("t", 1), ended("u", 2)])
    assert refused.value.code == "forbidden"
    assert server.cli("DBSIZE") == b"0"


async def test_one_batch_may_state_the_same_fact_twice(replica: MakeIndex) -> None:
    """What a batch itself states would be looked up as it was before the batch, and a contradiction be lost."""
    a, b = replica("a"), replica("b")
    facts = [ended("t", 1), ended("u", 2), ended("u", 3)]
    assert verdicts(await a.claim(facts)) == ["ours"] * 3
    assert await a.confirm([facts[0], facts[2]]) == 0
    assert verdicts(await a.claim([ended("t", 4, says="y"), ended("t", 5, says="y"), ended("u", 6)])) == [
        "contradicts",
        "contradicts",
        "absorbed",
    ]
    assert verdicts(await b.claim([ended("t", 7, says="y")])) == []


async def test_another_login_holds_from_the_next_call_on(server: RedisServer) -> None:
    """The old password would be needed until the connection breaks, and a wrong one stay unnoticed as long."""
    rights = ("~{relay:*", "+@all")
    server.cli("ACL", "SETUSER", "index", "on", ">old", *rights)
    login = {"url": f"redis://index:old@127.0.0.1:{server.port}/0"}
    index = RedisIndex(login, scope="kafka", identity="a", origin=lambda: "j", lease=LEASE, window=WINDOW)
    await published(index, ended("t", 1))
    index.reconfigure(login)
    before = logins(server)
    await published(index, ended("u", 2))
    assert logins(server) == before, "nothing has changed, and so nobody logs in again"
    server.cli("ACL", "SETUSER", "index", ">new", "<old")
    index.reconfigure({"url": f"redis://index:wr0ng@127.0.0.1:{server.port}/0"})
    with pytest.raises(IndexUnavailable) as refused:
        await index.claim([ended("v", 3)])
    assert (refused.value.code, "wr0ng" in str(refused.value)) == ("auth_failed", False)
    index.reconfigure({"url": f"redis://index:new@127.0.0.1:{server.port}/0"})
    await published(index, ended("v", 3))
    assert not set(before) & set(logins(server))
    await index.close()


def logins(server: RedisServer) -> list[str]:
    """The ids of the connections of the index."""
    return [line.split()[0] for line in server.cli("CLIENT", "LIST").decode().splitlines() if " user=index " in line]


async def test_a_changed_certificate_holds_from_the_next_call_on(
    tls_server: RedisServer, certificates: Path, tmp_path: Path
) -> None:
    """An index with TLS could not be used, or its certificate would end although it was renewed in place."""
    names = {"ssl_ca_certs": "ca.crt", "ssl_certfile": "server.crt", "ssl_keyfile": "server.key"}
    for name in names.values():
        shutil.copy(certificates / name, tmp_path / name)
    files = {key: str(tmp_path / name) for key, name in names.items()}
    login = {"url": f"rediss://127.0.0.1:{tls_server.port}/0", **files}
    index = RedisIndex(login, scope="kafka", identity="a", origin=lambda: "j", lease=LEASE, window=WINDOW)
    await published(index, ended("t", 1))
    (tmp_path / "server.key").write_text("no key")
    index.reconfigure(login)
    with pytest.raises(IndexUnavailable) as refused:
        await index.claim([ended("u", 2)])
    assert refused.value.code == "tls_files"
    shutil.copy(certificates / "server.key", tmp_path / "server.key")
    await published(index, ended("u", 2))
    await index.close()
