"""What the nodes of a Redis say about who may write; asking them needs servers (tests/integration)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from redis.exceptions import MovedError, ResponseError

from relay.core.sink import SinkUnavailable
from relay.sinks.redis.config import Endpoints, Node
from relay.sinks.redis.topology import MAX_REDIRECTIONS, Locator, Named, Sentinels, _cluster_nodes, newest


def test_unknown_endpoints_mean_the_host_that_was_asked() -> None:
    """Else a cluster that does not announce its addresses could not be followed."""
    slots = [[0, 1, [b"", 1, b"id"], [None, 2, b"id"]], [2, 3, [b"?", 3, b"id"], [b"other", 4, b"id"]]]
    assert _cluster_nodes(slots, "asked") == (Node("asked", 1), Node("asked", 2), Node("asked", 3), Node("other", 4))


OLD, NEW = Node("old", 1), Node("new", 1)


def test_of_several_sentinels_the_newest_is_believed() -> None:
    """One that was cut off at a failover would lead the relay back to the server that has been replaced."""
    assert newest([], OLD) is None
    assert newest([Named(OLD, 3), Named(NEW, 4), Named(OLD, 3)], OLD) == Named(NEW, 4)
    assert newest([Named(NEW, 4), Named(OLD, 3)], NEW) == Named(NEW, 4)


def test_two_names_of_one_primary_are_no_failover() -> None:
    """Sentinels of which one announces a host name and one an address would make the relay reconnect forever."""
    assert newest([Named(NEW, 3), Named(OLD, 3)], OLD) == Named(OLD, 3)


NODES = (Node("quick", 1), Node("slow", 2))


class Sentinel:
    """What stands for the connection to one: ``quick`` names the primary at once, ``slow`` never does."""

    def __init__(self, node: Node, since: bytes | None = b"3") -> None:
        self.node = node
        self.closed = False
        self._since = since

    async def call(self, *command: str) -> list[bytes]:
        if self.node.host == "slow":
            await asyncio.Event().wait()
        if command[1] == "GET-MASTER-ADDR-BY-NAME":
            return [b"new", b"1"]
        if self._since == b"forbidden":
            raise SinkUnavailable("forbidden", "That may not be asked.")
        epoch = [] if self._since is None else [b"config-epoch", self._since]
        return [b"name", b"relay", b"ip", b"new", *epoch, b"quorum", b"2"]

    async def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(("since", "epoch"), [(b"3", 3), (b"0", 0), (None, 0), (b"forbidden", 0)])
async def test_a_sentinel_that_hangs_holds_nobody_up_and_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, since: bytes | None, epoch: int
) -> None:
    """Else the relay could not open its sink while one Sentinel of three is frozen, or would pile up connections; also
    where it is unknown since when the primary is one."""
    asked: list[Sentinel] = []

    async def dialled(node: Node, *_: object) -> Sentinel:
        asked.append(Sentinel(node, since))
        return asked[-1]

    monkeypatch.setattr("relay.sinks.redis.topology.dial", dialled)
    before = asyncio.all_tasks()
    sentinels = Sentinels(Endpoints((), 1.0, 1.0, sentinels=NODES, service_name="relay"))
    async with asyncio.timeout(5):
        for _ in range(2):  # the same answer as before is as good
            assert await sentinels.primary() == NEW
    assert asyncio.all_tasks() == before
    assert [sentinel.closed for sentinel in asked] == [True] * 4
    assert await sentinels._ask(NODES[0]) == Named(NEW, epoch)


async def test_a_sentinel_that_is_lost_between_two_questions_has_said_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its primary would count as older than it is, and the relay stay with a server that has been replaced."""

    class Lost(Sentinel):
        async def call(self, *command: str) -> list[bytes]:
            if command[1] == "MASTER":
                raise SinkUnavailable("unreachable", "The connection is gone.")
            return [b"new", b"1"]

    async def dialled(node: Node, *_: object) -> Sentinel:
        return Lost(node)

    monkeypatch.setattr("relay.sinks.redis.topology.dial", dialled)
    with pytest.raises(SinkUnavailable, match=r"The connection is gone\.") as refused:
        await Sentinels(Endpoints((), 1.0, 1.0, sentinels=NODES[:1], service_name="relay")).primary()
    assert refused.value.code == "no_primary"


Said = dict[str, Named | None]
"""What each Sentinel says, by its host; ``None``: it cannot be reached."""


class Fleet:
    """Sentinels whose answers are set from outside."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
        self.said: Said = dict.fromkeys(hosts)
        nodes = tuple(Node(host, 1) for host in hosts)
        self.asked = Sentinels(Endpoints((), 1.0, 1.0, sentinels=nodes, service_name="relay"))
        monkeypatch.setattr(self.asked, "_ask", self._ask)

    async def _ask(self, sentinel: Node) -> Named | SinkUnavailable:
        return self.said[sentinel.host] or SinkUnavailable("unreachable", f"{sentinel} is away.")


@pytest.mark.parametrize(
    ("before", "now", "successor"),
    [
        pytest.param(Named(OLD, 3), {"a": Named(OLD, 3), "b": Named(OLD, 3)}, None, id="nothing has changed"),
        pytest.param(Named(OLD, 3), {"a": Named(OLD, 3), "b": Named(NEW, 4)}, NEW, id="one has heard of a failover"),
        pytest.param(Named(OLD, 3), {"a": None, "b": Named(NEW, 4)}, NEW, id="the only one left has"),
        pytest.param(Named(OLD, 3), {"a": None, "b": None}, None, id="none can be reached"),
        pytest.param(Named(OLD, 4), {"a": None, "b": Named(NEW, 3)}, None, id="the only one left knows less"),
        pytest.param(Named(OLD, 4), {"a": None, "b": Named(NEW, 4)}, NEW, id="the only one left knows as much"),
        pytest.param(Named(OLD, 4), {"a": Named(NEW, 3), "b": Named(NEW, 3)}, NEW, id="all of them were set up again"),
    ],
)
async def test_when_the_sentinels_name_another_primary(
    monkeypatch: pytest.MonkeyPatch, before: Named, now: Said, successor: Node | None
) -> None:
    """Else the relay would stay with a server whose writes get lost, or leave the right one for an old one."""
    fleet = Fleet(monkeypatch, "a", "b")
    fleet.said = {"a": before, "b": before}
    assert await fleet.asked.primary() == OLD
    fleet.said = now
    assert await fleet.asked.successor(OLD) == successor


async def test_what_every_sentinel_said_is_reported_where_none_names_a_primary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nobody would know which of them is away, and that the others do not know the service."""
    with pytest.raises(SinkUnavailable) as refused:
        await Fleet(monkeypatch, "a", "b").asked.primary()
    assert refused.value.code == "no_primary"
    assert "a:1 is away. b:1 is away." in refused.value.message


async def test_an_older_answer_is_better_than_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the relay could not connect while those who know more of the Sentinels are away."""
    fleet = Fleet(monkeypatch, "a", "b")
    fleet.said = {"a": Named(OLD, 4), "b": Named(OLD, 4)}
    assert await fleet.asked.primary() == OLD
    fleet.said = {"a": Named(NEW, 2), "b": Named(OLD, 3)}
    assert await fleet.asked.primary() == OLD


async def test_a_failover_that_was_heard_of_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one Sentinel that was cut off meanwhile would lead the relay back to the server that has been replaced."""
    fleet = Fleet(monkeypatch, "a", "b")
    fleet.said = {"a": Named(NEW, 4), "b": None}
    assert await fleet.asked.successor(OLD) == NEW
    fleet.said = {"a": None, "b": Named(OLD, 3)}
    assert await fleet.asked.successor(NEW) is None


class Link:
    """Stands for the connection to a node of a cluster, which answers as ``answers`` says."""

    def __init__(self, node: Node, answers: Callable[[Node, str], Any]) -> None:
        self.node = node
        self.aborted = False
        self._answers = answers

    async def ask(self, command: str, *_: str) -> Any:
        answer = self._answers(self.node, command)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def abort(self) -> None:
        self.aborted = True


class Nodes:
    """The nodes of a cluster, of which the first two are configured."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: Callable[[Node, str], Any], **more: Any) -> None:
        self.links: list[Link] = []
        self._answers = answers
        monkeypatch.setattr("relay.sinks.redis.topology.dial", self._dial)
        self.locator = Locator(Endpoints((Node("a", 1), Node("b", 1)), 1.0, 1.0, **more), "{relay}:key")

    async def _dial(self, node: Node, *_: object) -> Link:
        if isinstance(refusal := self._answers(node, "dial"), BaseException):
            raise refusal
        self.links.append(Link(node, self._answers))
        return self.links[-1]


async def test_the_first_failure_is_reported_where_no_node_can_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an operator would hear of the last of many nodes, or of nothing at all."""
    nodes = Nodes(monkeypatch, lambda node, _: SinkUnavailable("unreachable", f"No connection to {node}."))
    with pytest.raises(SinkUnavailable, match="to a:1"):
        await nodes.locator.connect()


async def test_redirections_are_followed_and_nodes_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the sink would leave a connection behind with each step, or be lost when the configured nodes are."""
    away = False

    def answers(node: Node, command: str) -> Any:
        if away and node.host in "ab":
            return SinkUnavailable("unreachable", "away")
        if command == "TYPE":
            return MovedError("1 c:7") if node.host == "a" else b"none"
        return [[0, 1, [b"c", 7, b"id"], [b"d", 8, b"id"]]]

    nodes = Nodes(monkeypatch, answers, cluster=True)
    assert (await nodes.locator.connect()).node == Node("c", 7)
    assert [(link.node.host, link.aborted) for link in nodes.links] == [("a", True), ("c", False)]
    away = True
    assert (await nodes.locator.connect()).node == Node("c", 7)


async def test_a_cluster_that_sends_round_in_circles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the sink would follow it forever, and the relay not end."""
    nodes = Nodes(monkeypatch, lambda node, command: MovedError("1 a:1") if command == "TYPE" else None, cluster=True)
    with pytest.raises(SinkUnavailable) as refused:
        await nodes.locator.connect()
    assert refused.value.code == "moved"
    assert len(nodes.links) == 2 * MAX_REDIRECTIONS
    assert all(link.aborted for link in nodes.links)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ResponseError("CLUSTERDOWN Hash slot not served"), SinkUnavailable),
        (OSError("gone"), SinkUnavailable),
        (asyncio.CancelledError(), asyncio.CancelledError),
    ],
)
@pytest.mark.parametrize("command", ["TYPE", "CLUSTER"])
async def test_a_node_that_fails_while_it_is_asked_is_let_go(
    monkeypatch: pytest.MonkeyPatch, command: str, error: BaseException, raised: type[BaseException]
) -> None:
    """Else each attempt would leave a connection behind, or a stop of the relay be lost."""
    nodes = Nodes(monkeypatch, lambda _, asked: error if asked == command else None, cluster=True)
    with pytest.raises(raised):
        await nodes.locator.connect()
    assert nodes.links
    assert all(link.aborted for link in nodes.links)
