"""Plays cases with the ``openai`` or ``anthropic`` package on the path, whatever its version: both are built alike.

    python -S python_client.py openai|anthropic sync|async < cases.json > results.json

It says what the package made of them. It is run by the interpreter of the tests with no other package than those of
the SDK, and knows nothing of the relay.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

Json = dict[str, Any]

sdk: Any = importlib.import_module(sys.argv[1])

AT_ONCE = 8
CLIENT = {"openai": "OpenAI", "anthropic": "Anthropic"}[sys.argv[1]]
KEY = "sk-test-0123456789abcdef"
DEFAULTS = {"api_key": KEY, "timeout": 20.0, "base_url": "http://nowhere.invalid"}


def play(shared: Any, case: Json) -> Json:
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
    except sdk.APIError as error:
        result["error"] = _described(error)
    except Exception as error:
        result["error"] = {"class": type(error).__name__}
    return result


async def play_async(shared: Any, case: Json) -> Json:
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
    except sdk.APIError as error:
        result["error"] = _described(error)
    except Exception as error:
        result["error"] = {"class": type(error).__name__}
    return result


def _options(case: Json) -> Json:
    options = {"base_url": case["url"], "default_headers": case["headers"], "api_key": case.get("key", KEY)}
    return options | ({"max_retries": case["retries"]} if "retries" in case else {})


def _call(client: Any, case: Json) -> Any:
    params, call = case["params"], case["call"]
    if call == "models":
        return client.models.list()
    if call == "embeddings":
        return client.embeddings.create(**params)
    resource = client
    for name in case.get("api", "chat_completions").split("_"):
        resource = getattr(resource, name)
    if call == "stream":
        return resource.create(stream=True, **params)
    return getattr(resource, call)(**params)


def _result(case: Json) -> Json:
    return {"id": case["id"], "chunks": [], "answer": None, "error": None}


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json", exclude_unset=True)


def _described(error: Any) -> Json:
    """What an application can read of an error."""
    return {
        "class": type(error).__name__,
        "status": getattr(error, "status_code", None),
        "code": getattr(error, "code", None),
        "type": getattr(error, "type", None),
        "body": error.body,
        "message": str(error),
    }


async def _all(cases: list[Json]) -> list[Json]:
    places = asyncio.Semaphore(AT_ONCE)

    async def one(case: Json) -> Json:
        async with places:
            return await play_async(client, case)

    async with getattr(sdk, f"Async{CLIENT}")(**DEFAULTS) as client:
        return await asyncio.gather(*map(one, cases))


_own = threading.local()


def _take_own_client() -> None:
    """A client of the thread's own. A pool that threads share may close a connection under the request of another one.

    The SDK then asks again what the upstream has received (https://github.com/encode/httpcore/issues/1110): one attempt
    more, through the relay or directly, now and then on a busy machine.
    """
    _own.client = getattr(sdk, CLIENT)(**DEFAULTS)


def main() -> None:
    cases = json.load(sys.stdin)
    if sys.argv[2] == "async":
        results = asyncio.run(_all(cases))
    else:
        with ThreadPoolExecutor(AT_ONCE, initializer=_take_own_client) as threads:
            results = list(threads.map(lambda case: play(_own.client, case), cases))
    json.dump({"version": sdk.__version__, "results": results}, sys.stdout)


if __name__ == "__main__":
    main()
