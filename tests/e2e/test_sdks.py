"""The SDKs that people use, at the versions that they use, directly and through the relay: they notice nothing.

Vercel's ``ai`` stands beside the ``openai`` packages because it shares no code with them: its own HTTP client, its own
event parser, its own classes of errors and its own rules of what to ask again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import ClientSession

from relay.simulator.chat.exchanges import Exchange
from relay.simulator.chat.scripts import WORD
from relay.simulator.options import Options
from relay.simulator.server import Simulator
from tests.e2e.sdks.install import run_agent, run_node, run_python
from tests.e2e.sdks.scenarios import BODIES, BODY, MODEL, SCENARIOS, Scenario, agent_scenarios, scenarios_of
from tests.faults.harness.streams import Balance, balance, events_of
from tests.services.chat import chat_client
from tests.services.relay import RelayProcess

pytestmark = pytest.mark.timeout(300)

Json = dict[str, Any]
Run = Callable[[list[Json]], Json]

VERSIONS = {1: "1.109.1", 2: "2.54.0", 3: "3.57.0"}
PYTHON = [(major, mode) for major in VERSIONS for mode in ("sync", "async")]
OTHER_NAMES = {"APIStatusError": "APIError", "JSONDecodeError": "SyntaxError"}
"""What the JavaScript package calls an error that has another name in Python."""
AI_CALLS = ("stream", "create")
RECORDED = ("/completions", "/responses", "/messages")
"""The routes of which each attempt is a chat."""
KEY = "sk-test-0123456789abcdef"
FRUGAL = "sk-frugal-0123456789abcdef"
"""With which every client here comes."""
EVENTS_WITHIN = 20.0
"""Seconds for the last events to be committed, on a machine whose disk others keep busy."""


@dataclass(frozen=True, slots=True)
class Lived:
    """What an SDK made of a scenario; ``ends`` says how each request ended that the upstream got."""

    chunks: list[Json]
    answer: Json | None
    error: Json | None
    ends: tuple[str | None, ...]

    @property
    def attempts(self) -> int:
        return len(self.ends)

    @property
    def raised(self) -> str | None:
        return self.error and self.error["class"]


class Stage:
    """A simulator, and a relay before it."""

    def __init__(self, simulator: Simulator, relay: RelayProcess) -> None:
        self._simulator = simulator
        self._ways = {"direct": simulator.url, "through": relay.url}
        self._through: set[str] = set()
        """The scripts that are asked for through the relay."""

    async def play(self, run: Run, version: str, scenarios: list[Scenario]) -> list[tuple[Scenario, Lived, Lived]]:
        """Each scenario, lived through directly and through the relay, by one SDK in one process."""
        scripts = {(way, scenario.name): self._script(scenario) for way in self._ways for scenario in scenarios}
        self._through |= {script for (way, _), script in scripts.items() if way == "through"}
        cases = [
            {
                "id": [way, scenario.name],
                "url": base + ("/anthropic" if scenario.api == "messages" else "/openai/v1"),
                "api": scenario.api,
                "headers": {"X-Simulate": f"script={scripts[way, scenario.name]}"},
                "call": scenario.call,
                "params": scenario.params,
                "leave_after": scenario.leave_after,
            }
            for scenario in scenarios
            for way, base in self._ways.items()
        ]
        played = await asyncio.to_thread(run, cases)
        assert played["version"] == version
        async with asyncio.timeout(30):
            while self._simulator.exchanges.open():
                await asyncio.sleep(0.01)
        lived = {tuple(result["id"]): self._lived(result, scripts[tuple(result["id"])]) for result in played["results"]}
        return [(scenario, *(lived[way, scenario.name] for way in self._ways)) for scenario in scenarios]

    async def assert_events_balance(self) -> None:
        """Each attempt that came through the relay, repeated or not, is a chat with exactly one terminal event."""
        # One that the upstream does not answer is refused by the relay itself, and has its event all the same.
        asked = [seen for seen in self._attempts(self._through) if seen.target.endswith(RECORDED)]
        found = Balance()
        with suppress(TimeoutError):  # the figures say more
            async with asyncio.timeout(EVENTS_WITHIN):
                while found.missing or found.ends.total() < len(asked):
                    found = balance({}, await events_of(self._ways["through"]))
                    await asyncio.sleep(0.05)
        assert found.holds, found
        assert found.ends.total() == len(asked), found.ends

    async def completed(self) -> list[Json]:
        """What the events say of each chat that was answered."""
        events = await events_of(self._ways["through"])
        return [event["data"] for event in events if event["type"] == "relay.chat.completed"]

    def _script(self, scenario: Scenario) -> str:
        return self._simulator.scripts.register(scenario.answers)

    def _lived(self, result: Json, script: str) -> Lived:
        ends = tuple(seen.outcome for seen in self._attempts({script}))
        return Lived(result["chunks"], result["answer"], result["error"], ends)

    def _attempts(self, scripts: set[str]) -> list[Exchange]:
        """What the upstream was asked with any of these scripts, in order."""
        words = {f"{WORD}={script}" for script in scripts}
        return [seen for seen in self._simulator.exchanges if seen.headers["X-Simulate"] in words]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with Simulator(Options()) as simulator:
        relay = RelayProcess(tmp_path / "relay", upstream={"base_url": simulator.url})
        await relay.start()
        try:
            yield Stage(simulator, relay)
        finally:
            await relay.stop()


def differences(scenario: Scenario, direct: Lived, through: Lived) -> Iterator[str]:
    """What an application would notice of the relay."""
    for what in ("chunks", "answer", "error", "ends"):
        seen = [getattr(lived, what) for lived in (direct, through)]
        if scenario.breaks and what in ("error", "ends"):
            seen = [bool(each) for each in seen]
        if seen[0] != seen[1]:
            yield f"{scenario.name}: {what}\n    direct:  {seen[0]}\n    through: {seen[1]}"


async def assert_nothing_is_noticed(
    stage: Stage,
    lived: list[tuple[Scenario, Lived, Lived]],
    as_known: Callable[[Scenario, Lived], bool],
) -> None:
    """Directly the SDK does what it is known to do: the scenarios are what they mean to be. And through it the same.

    Consumers notice the relay, and exactly what it passed on.
    """
    unknown = [
        f"{scenario.name}: {direct.attempts} attempts, {direct.error}"
        for scenario, direct, _ in lived
        if not as_known(scenario, direct)
    ]
    assert not unknown, "\n".join(unknown)
    noticed = [difference for one in lived for difference in differences(*one)]
    assert not noticed, "\n".join(noticed)
    await stage.assert_events_balance()


@pytest.mark.parametrize(("major", "mode"), PYTHON)
async def test_the_openai_package_for_python(stage: Stage, major: int, mode: str) -> None:
    """Applications of the most used SDK would see other chunks, errors or repetitions than without the relay."""

    def as_known(scenario: Scenario, direct: Lived) -> bool:
        return direct.attempts == scenario.attempts and (scenario.breaks or direct.raised == scenario.error)

    lived = await stage.play(partial(run_python, major, mode), VERSIONS[major], list(SCENARIOS))
    await assert_nothing_is_noticed(stage, lived, as_known)


async def test_the_openai_package_for_javascript(stage: Stage, tmp_path: Path) -> None:
    """Applications in JavaScript would see other chunks, errors or repetitions than without the relay."""

    def as_known(scenario: Scenario, direct: Lived) -> bool:
        raised = direct.raised in (scenario.error, OTHER_NAMES.get(scenario.error or "", scenario.error))
        return direct.attempts == scenario.attempts and (scenario.breaks or raised)

    lived = await stage.play(partial(run_node, "openai_client.mjs", tmp_path), "6.30.1", list(SCENARIOS))
    await assert_nothing_is_noticed(stage, lived, as_known)


async def test_the_ai_package_of_vercel(stage: Stage, tmp_path: Path) -> None:
    """Applications whose SDK shares no code with OpenAI's would notice the relay."""

    def as_known(scenario: Scenario, direct: Lived) -> bool:
        reported = bool(direct.error) or not (scenario.error or scenario.breaks)
        return direct.attempts == (scenario.ai_attempts or scenario.attempts) and reported

    scenarios = [scenario for scenario in SCENARIOS if scenario.call in AI_CALLS]
    lived = await stage.play(partial(run_node, "ai_client.mjs", tmp_path), "6.0.326", scenarios)
    await assert_nothing_is_noticed(stage, lived, as_known)


@pytest.mark.parametrize("sdk", ["python", "javascript"])
async def test_an_sdk_waits_as_long_as_the_limit_says_and_then_gets_its_answer(sdk: str, tmp_path: Path) -> None:
    """Applications would fail at each limit, since what SDKs wait by themselves is too short for it."""
    run = partial(run_python, 3, "sync") if sdk == "python" else partial(run_node, "openai_client.mjs", tmp_path)
    limit = 12  # one each 5 s: an SDK of its own accord tries again after 0.5 s
    clients = {"app": {"key": KEY, "requests_per_minute": limit}}
    async with Simulator(Options()) as simulator:
        relay = RelayProcess(tmp_path / "relay", upstream={"base_url": simulator.url}, proxy={"clients": clients})
        await relay.start()
        case = {"url": f"{relay.url}/openai/v1", "headers": {}, "call": "stream", "params": BODY, "retries": 1}
        try:
            async with ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:
                statuses = []
                while 429 not in statuses:
                    async with session.post(f"{relay.url}/openai/v1/chat/completions", json=BODY) as answer:
                        statuses.append(answer.status)
            assert len(statuses) > limit
            [result] = (await asyncio.to_thread(run, [{**case, "id": "waits"}]))["results"]
        finally:
            await relay.stop()
    assert result["error"] is None


ANTHROPIC = {0: "0.60.0", 2: "2.14.0"}
"""The older one shows its key in ``x-api-key``, the newer one in ``Authorization``."""


def as_attempted(scenario: Scenario, direct: Lived) -> bool:
    """Whether a scenario of ``scenarios_of`` is what it means to be: asked as often, with an error or without."""
    return direct.attempts == scenario.attempts and (bool(direct.error) or not scenario.error)


@pytest.mark.parametrize(("major", "mode"), [(2, "sync"), (3, "async")])
async def test_the_newer_and_the_older_api_of_the_openai_package(stage: Stage, major: int, mode: str) -> None:
    """Applications that use responses or completions would notice the relay."""
    for api in ("responses", "completions"):
        lived = await stage.play(partial(run_python, major, mode), VERSIONS[major], scenarios_of(api))
        await assert_nothing_is_noticed(stage, lived, as_attempted)


@pytest.mark.parametrize(("major", "mode"), [(0, "sync"), (2, "async")])
async def test_the_anthropic_package_for_python(stage: Stage, major: int, mode: str) -> None:
    """Applications of Anthropic's SDK would see other events, errors or repetitions than without the relay."""
    run = partial(run_python, major, mode, sdk="anthropic")
    lived = await stage.play(run, ANTHROPIC[major], scenarios_of("messages"))
    await assert_nothing_is_noticed(stage, lived, as_attempted)


@pytest.mark.parametrize(
    ("script", "version", "api"),
    [
        ("anthropic_client.mjs", "1.14.0", "messages"),
        ("openai_client.mjs", "6.30.1", "responses"),
        ("ai_client.mjs", "6.0.326", "messages"),
        ("ai_client.mjs", "6.0.326", "responses"),
    ],
)
async def test_the_packages_for_javascript_with_other_apis(
    stage: Stage, tmp_path: Path, script: str, version: str, api: str
) -> None:
    """Applications in JavaScript that use another API than chat completions would notice the relay."""
    scenarios = [each for each in scenarios_of(api) if script != "ai_client.mjs" or each.call in AI_CALLS]
    lived = await stage.play(partial(run_node, script, tmp_path), version, scenarios)
    await assert_nothing_is_noticed(stage, lived, as_attempted)


async def test_an_agent_that_calls_tools(stage: Stage) -> None:
    """An agent would go another way than without the relay, or consumers would miss a turn, its tools or its tokens."""
    lived = await stage.play(run_agent, "2.68.0", agent_scenarios())
    await assert_nothing_is_noticed(stage, lived, as_attempted)
    runs = [through.answer for _, _, through in lived if through.answer is not None]
    parts = [part for run in runs for message in run["messages"] for part in message["parts"]]
    remembered = Counter(
        (part["tool_call_id"], part["tool_name"]) for part in parts if part["part_kind"] == "tool-call"
    )
    turns = await stage.completed()
    calls = [call for turn in turns for choice in turn["choices"] for call in choice["tool_calls"]]
    assert Counter((call["id"], call["function"]["name"]) for call in calls) == remembered
    assert {orjson.loads(call["function"]["arguments"])["days"] for call in calls} == {7}
    for kind in ("input", "output"):
        assert sum(turn["tokens"][kind] for turn in turns) == sum(run["usage"][f"{kind}_tokens"] for run in runs)


REFUSALS = {
    "an unknown key": ("AuthenticationError", 401, "invalid_request_error", "unauthorized"),
    "a model that is not allowed": ("PermissionDeniedError", 403, "invalid_request_error", "model_not_allowed"),
    "too many chats": ("RateLimitError", 429, "rate_limit_error", "too_many_chats"),
    "a limit used up": ("RateLimitError", 429, "rate_limit_error", "rate_limited"),
    "no upstream": ("InternalServerError", 502, "server_error", "upstream_unreachable"),
}


@pytest.mark.parametrize("major", ANTHROPIC)
async def test_the_relays_own_refusals_are_errors_that_anthropics_sdk_reads(major: int, tmp_path: Path) -> None:
    """An application of Anthropic's SDK could not tell a wrong key from a model that it may not use."""
    clients = {"app": {"key": KEY, "models": [MODEL]}}
    async with Simulator(Options()) as simulator:
        relay = RelayProcess(tmp_path / "relay", upstream={"base_url": simulator.url}, proxy={"clients": clients})
        await relay.start()
        case = {"url": f"{relay.url}/anthropic", "headers": {}, "api": "messages", "call": "create", "retries": 0}
        cases = [
            {**case, "id": "a known key", "params": BODY | {"max_tokens": 9}},
            {**case, "id": "an unknown key", "params": BODY | {"max_tokens": 9}, "key": "sk-another-0123456789abcdef"},
            {**case, "id": "another model", "params": BODY | {"max_tokens": 9, "model": "org/other"}},
        ]
        try:
            results = (await asyncio.to_thread(run_python, major, "sync", cases, "anthropic"))["results"]
        finally:
            await relay.stop()
    known, *refused = (result["error"] for result in results)
    assert known is None, "the key is taken from the header in which the SDK sends it"
    seen = [(error["class"], error["status"], error["body"]["error"]["code"]) for error in refused]
    assert seen == [
        ("AuthenticationError", 401, "unauthorized"),
        ("PermissionDeniedError", 403, "model_not_allowed"),
    ]


@pytest.mark.parametrize(
    ("sdk", "major", "api", "ends", "base"),
    [
        ("openai", 1, "chat_completions", "/v1", "/openai/v1"),
        ("openai", 3, "responses", "/v1", "/openai/v1"),
        ("openai", 3, "completions", "", "/openai/v1"),
        ("anthropic", 0, "messages", "/v1", "/anthropic"),
        ("anthropic", 2, "messages", "", "/anthropic"),
    ],
)
async def test_a_base_url_that_ends_too_early_is_an_error_that_says_so(
    tmp_path: Path, sdk: str, major: int, api: str, ends: str, base: str
) -> None:
    """A newcomer would read "Error code: 404", and nothing of what to change."""
    relay = RelayProcess(tmp_path / "relay")
    await relay.start()
    case = {"id": "early", "url": relay.url + ends, "headers": {}, "api": api, "call": "create", "params": BODIES[api]}
    try:
        [result] = (await asyncio.to_thread(run_python, major, "sync", [case], sdk))["results"]
    finally:
        await relay.stop()
    assert result["error"]["class"] == "NotFoundError"
    assert f"set base_url to {relay.url}{base}." in result["error"]["message"]


@pytest.mark.parametrize("sdk", ["python", "javascript"])
async def test_the_relays_own_refusals_are_errors_that_the_sdks_read(sdk: str, tmp_path: Path) -> None:
    """An application could not distinguish a refusal by the relay from one by the upstream, nor learn the reason."""
    run = partial(run_python, 3, "sync") if sdk == "python" else partial(run_node, "openai_client.mjs", tmp_path)
    clients = {
        "app": {"key": KEY, "models": [MODEL], "max_concurrent": 1},
        "frugal": {"key": FRUGAL, "requests_per_minute": 1},
    }
    async with Simulator(Options()) as simulator:
        relay = RelayProcess(tmp_path / "relay", upstream={"base_url": simulator.url}, proxy={"clients": clients})
        await relay.start()
        case = {"url": f"{relay.url}/openai/v1", "headers": {}, "call": "stream", "params": BODY, "retries": 0}
        unlike = [
            {**case, "id": "an unknown key", "key": "sk-another-0123456789abcdef"},
            {**case, "id": "a model that is not allowed", "params": BODY | {"model": "org/other"}},
        ]
        try:
            results = (await asyncio.to_thread(run, unlike))["results"]
            frugal = [{**case, "id": "a limit used up", "key": FRUGAL}]
            assert (await asyncio.to_thread(run, frugal))["results"][0]["error"] is None
            results += (await asyncio.to_thread(run, frugal))["results"]
            async with chat_client(relay.url) as held:
                await held.ask({"Authorization": f"Bearer {KEY}", "X-Simulate": "hang"})
                await held.head()
                results += (await asyncio.to_thread(run, [{**case, "id": "too many chats"}]))["results"]
            simulator.begin_outage("down", 60.0)
            results += (await asyncio.to_thread(run, [{**case, "id": "no upstream"}]))["results"]
        finally:
            await relay.stop()
    errors = {result["id"]: result["error"] for result in results}
    seen = {name: tuple(error[key] for key in ("class", "status", "type", "code")) for name, error in errors.items()}
    assert seen == REFUSALS
    assert all(error["body"]["message"] for error in errors.values())
