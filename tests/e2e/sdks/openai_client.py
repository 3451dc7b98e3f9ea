"""Plays cases with the ``openai`` package that is on the path, whatever its version, and says what it made of them.

    python -S openai_client.py sync|async < cases.json > results.json

It is run by the interpreter of the tests with no other package than those of the SDK, and knows nothing of the relay.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai

Json = dict[str, Any]

AT_ONCE = 8
KEY = "sk-test-0123456789abcdef"
DEFAULTS = {"api_key": KEY, "timeout": 20.0, "base_url": "http://nowhere.invalid"}


def play(shared: openai.OpenAI, case: Json) -> Json:
    """One case with the client that blocks."""
    result = _result(case)
    try:
        answer = _call(shared.with_options(**_options(case)), case)
        if case["call"] != "stream":
            result["answer"] = _plain(answer)
            return result
        for chunk in answer:
            result["chunks"].append(_plain(chunk))
            if len(result["chunks"]) == case.get("leave_after"):
                answer.close()
                break
    except openai.APIError as error:
        result["error"] = _described(error)
    except Exception as error:
        result["error"] = {"class": type(error).__name__}
    return result


async def play_async(shared: openai.AsyncOpenAI, case: Json) -> Json:
    """One case with the client that does not."""
    result = _result(case)
    try:
        answer = await _call(shared.with_options(**_options(case)), case)
        if case["call"] != "stream":
            result["answer"] = _plain(answer)
            return result
        async for chunk in answer:
            result["chunks"].append(_plain(chunk))
            if len(result["chunks"]) == case.get("leave_after"):
                await answer.close()
                break
    except openai.APIError as error:
        result["error"] = _described(error)
    except Exception as error:
        result["error"] = {"class": type(error).__name__}
    return result


def _options(case: Json) -> Json:
    options = {"base_url": case["url"], "default_headers": case["headers"], "api_key": case.get("key", KEY)}
    return options | ({"max_retries": case["retries"]} if "retries" in case else {})


def _call(client: Any, case: Json) -> Any:
    params = case["params"]
    if case["call"] == "stream":
        return client.chat.completions.create(stream=True, **params)
    if case["call"] == "create":
        return client.chat.completions.create(**params)
    if case["call"] == "models":
        return client.models.list()
    return getattr(client, case["call"]).create(**params)


def _result(case: Json) -> Json:
    return {"id": case["id"], "chunks": [], "answer": None, "error": None}


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json", exclude_unset=True)


def _described(error: openai.APIError) -> Json:
    """What an application can read of an error."""
    return {
        "class": type(error).__name__,
        "status": getattr(error, "status_code", None),
        "code": error.code,
        "type": error.type,
        "body": error.body,
        "message": str(error),
    }


async def _all(cases: list[Json]) -> list[Json]:
    places = asyncio.Semaphore(AT_ONCE)

    async def one(case: Json) -> Json:
        async with places:
            return await play_async(client, case)

    async with openai.AsyncOpenAI(**DEFAULTS) as client:
        return await asyncio.gather(*map(one, cases))


_own = threading.local()


def _take_own_client() -> None:
    """A client of the thread's own. A pool that threads share may close a connection under the request of another one.

    The SDK then asks again what the upstream has received (https://github.com/encode/httpcore/issues/1110): one attempt
    more, through the relay or directly, now and then on a busy machine.
    """
    _own.client = openai.OpenAI(**DEFAULTS)


def main() -> None:
    cases = json.load(sys.stdin)
    if sys.argv[1] == "async":
        results = asyncio.run(_all(cases))
    else:
        with ThreadPoolExecutor(AT_ONCE, initializer=_take_own_client) as threads:
            results = list(threads.map(lambda case: play(_own.client, case), cases))
    json.dump({"version": openai.__version__, "results": results}, sys.stdout)


if __name__ == "__main__":
    main()
