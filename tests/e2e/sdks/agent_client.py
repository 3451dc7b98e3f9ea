"""Plays cases with an agent of ``pydantic-ai``, which calls a tool until the model says what to answer.

    python -S agent_client.py < cases.json > results.json

A case says which API the agent's model speaks, and whether its turns are streamed. Like ``python_client.py`` it knows
nothing of the relay.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterable
from dataclasses import asdict
from typing import Any

import anthropic
import openai
import pydantic_ai
from pydantic_ai import Agent, RunUsage, capture_run_messages
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_core import to_jsonable_python

Json = dict[str, Any]

KEY = "sk-test-0123456789abcdef"
OF_THIS_RUN = frozenset(("timestamp", "run_id", "conversation_id", "provider_url"))
"""What differs from one run to the next, directly as well."""
MODELS: dict[str, Any] = {"chat_completions": OpenAIChatModel, "responses": OpenAIResponsesModel}


def weather(place: str, days: int) -> str:
    """The weather of a place in the next days."""
    return f"wind in {place} for {days} days"


async def play(case: Json) -> Json:
    """One run of the agent: what it saw piece by piece, what it answers, and what it remembers of it."""
    result: Json = {"id": case["id"], "chunks": [], "answer": None, "error": None}

    async def note(_: Any, events: AsyncIterable[Any]) -> None:
        async for event in events:
            result["chunks"].append(_same(to_jsonable_python(event)))

    agent, usage = Agent(_model(case), tools=[weather], retries=0), RunUsage()
    handler = note if case["call"] == "stream" else None
    answer: Json = {"output": None}
    with capture_run_messages() as messages:
        try:
            answer["output"] = (
                await agent.run(case["params"]["prompt"], usage=usage, event_stream_handler=handler)
            ).output
        except Exception as error:
            result["error"] = {"class": type(error).__name__, "status": getattr(error, "status_code", None)}
    remembered = _same(to_jsonable_python(messages))
    result["answer"] = answer | {"messages": remembered, "usage": to_jsonable_python(asdict(usage))}
    return result


def _model(case: Json) -> Any:
    options: Json = {"base_url": case["url"], "api_key": KEY, "default_headers": case["headers"], "timeout": 20.0}
    name = case["params"]["model"]
    if case["api"] == "messages":
        return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=anthropic.AsyncAnthropic(**options)))
    return MODELS[case["api"]](name, provider=OpenAIProvider(openai_client=openai.AsyncOpenAI(**options)))


def _same(value: Any) -> Any:
    """Without what differs from one run to the next."""
    if isinstance(value, dict):
        return {key: _same(each) for key, each in value.items() if key not in OF_THIS_RUN}
    return [_same(each) for each in value] if isinstance(value, list) else value


async def _all(cases: list[Json]) -> list[Json]:
    return await asyncio.gather(*map(play, cases))


def main() -> None:
    results = asyncio.run(_all(json.load(sys.stdin)))
    json.dump({"version": pydantic_ai.__version__, "results": results}, sys.stdout)


if __name__ == "__main__":
    main()
