"""An application that submits tasks through the relay, and does with each answer what a careful client does.

It submits again only what the relay says is safe to submit again. What each task is to suffer is decided beforehand
and sent to the simulator in a header, so that the test knows how each one ends.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import aiohttp

from tests.e2e.request_shapes import ASYNCHRONOUS, SYNCHRONOUS, Shape

SAFE = frozenset({"upstream_unreachable", "journal_unavailable", "backlog_full", "overloaded", "draining"})
"""Codes after which docs/tasks.md lets a client submit again."""
RETRY_EVERY = 0.3
GIVE_UP_AFTER = 240.0
FLUX = SYNCHRONOUS[0]

OTHERS = (
    "before",
    "bare",
    "resigned",
    "reordered",
    "progress",
    "unanswered",
    "dropped",
    "unknown-event",
    "poll-error=2",
    "poll-missing=2",
    "poll-limited",
    "slow=300ms",
)
"""Further troubles, none of which changes how a task ends."""
UNREAD = ("unknown-event",)
"""Webhooks with these become dead letters, so that what they state contradicts nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One task: what is asked for, what goes wrong, and the event in which it has to end."""

    number: int
    shape: Shape
    simulate: str
    ends_in: str
    contradicted: bool = False

    @property
    def prompt(self) -> str:
        """By which the simulator's ledger knows the task, whatever the client heard of it."""
        return f"a kite, take {self.number}"


def plans(count: int, seed: int, late_by: str) -> list[Plan]:
    """30 % of the webhooks lost, 20 % doubled, 10 % late beyond the poll, 2 % contradicting; and more besides."""
    dice = random.Random(seed)
    return [_plan(number, dice, late_by) for number in range(count)]


def _plan(number: int, dice: random.Random, late_by: str) -> Plan:
    shape = FLUX if dice.random() < 0.05 else dice.choice(ASYNCHRONOUS)
    if shape is FLUX:
        return Plan(number, shape, "none", "succeeded")
    words = []
    lost = dice.random() < 0.3
    contradicted = not lost and dice.random() < 0.03  # of those that are heard of: 2 % of all
    fails = dice.random() < 0.08
    if lost:
        words.append("lost")
    else:
        words += ["doubled"] if dice.random() < 0.28 else []
        words += [f"late={late_by}"] if dice.random() < 0.14 else []
    if contradicted:
        words.append(f"contradict={dice.choice(['status', 'outputs'])}")
    if fails:
        words.append("fail")
    if dice.random() < 0.02:
        words.append("reset")  # made and paid for, and its answer is lost: to submit it again would pay twice
    other = dice.choice(OTHERS)
    if dice.random() < 0.3 and not (contradicted and other in UNREAD):
        words.append(other)
    return Plan(number, shape, ", ".join(words) or "none", "failed" if fails else "succeeded", contradicted)


@dataclass(slots=True)
class Submitted:
    """What the application knows: the task it got for each plan, and the other answers, counted."""

    answered: dict[str, Plan] = field(default_factory=dict)
    unknown: list[Plan] = field(default_factory=list)
    """Sent, and no answer: the upstream may have the task. Not submitted again."""
    outcomes: Counter[str] = field(default_factory=Counter)


class Application:
    """Submits ``plans`` at ``rate`` per second through ``url()``."""

    def __init__(self, url: Callable[[], str], plans: Sequence[Plan], rate: float) -> None:
        self._url, self.plans, self._rate = url, plans, rate
        self.submitted = Submitted()

    async def run(self) -> None:
        """Returns when each plan was answered, or its outcome is unknown."""
        connector = aiohttp.TCPConnector(limit=64)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
            loop = asyncio.get_running_loop()
            due = loop.time()
            for plan in self.plans:
                group.create_task(self._until_answered(session, plan))
                due += 1 / self._rate
                await asyncio.sleep(max(0.0, due - loop.time()))

    async def _until_answered(self, session: aiohttp.ClientSession, plan: Plan) -> None:
        async with asyncio.timeout(GIVE_UP_AFTER):
            while await self._submit(session, plan):
                await asyncio.sleep(RETRY_EVERY)

    async def _submit(self, session: aiohttp.ClientSession, plan: Plan) -> bool:
        """Whether it may, and has to, be submitted again."""
        headers = {"X-Simulate": plan.simulate}
        try:
            async with session.post(self._url() + plan.shape.path, json=_body(plan), headers=headers) as response:
                answer = await response.json(content_type=None)
                status = response.status
        except aiohttp.ClientConnectorError:  # the relay is not there: nothing was sent
            self.submitted.outcomes["no relay"] += 1
            return True
        except ValueError:  # a gateway's page instead of the upstream
            self.submitted.outcomes["a page"] += 1
            return True
        except (aiohttp.ClientError, OSError) as error:  # the relay was killed meanwhile
            self.submitted.outcomes[type(error).__name__] += 1
            self.submitted.unknown.append(plan)
            return False
        return self._heard(plan, status, answer)

    def _heard(self, plan: Plan, status: int, answer: dict[str, object]) -> bool:
        if status == 200:
            task = answer.get("task")
            task_id = str(task["task_id"] if isinstance(task, dict) else answer["task_id"])
            assert task_id not in self.submitted.answered, "the upstream gave one id twice"
            self.submitted.answered[task_id] = plan
            self.submitted.outcomes["200"] += 1
            return False
        code = str(answer["code"])  # the relay's code, or the upstream's status
        self.submitted.outcomes[code] += 1
        if code in SAFE or status in (429, 500):  # of the upstream's: it has made no task
            return True
        assert code == "submission_outcome_unknown", answer
        self.submitted.unknown.append(plan)
        return False


def _body(plan: Plan) -> dict[str, object]:
    body = dict(plan.shape.body)
    if "request" in body:
        body["request"] = {**body["request"], "prompt": plan.prompt}  # type: ignore[dict-item]
    else:
        body["text" if "text" in body else "prompt"] = plan.prompt
    return body
