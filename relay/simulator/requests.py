"""What both halves read of a request: a JSON object, and the random numbers that decide everything about its answer."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from random import Random
from typing import Any

import orjson

Json = dict[str, Any]


class InvalidSubmission(ValueError):
    """The body is not what the endpoint documents; the message says in what."""


def read_object(raw: bytes) -> Json:
    """The body as a JSON object. Raises ``InvalidSubmission``."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as problem:
        raise InvalidSubmission(f"the body is not JSON: {problem}") from None
    if not isinstance(body, dict):
        raise InvalidSubmission("the body is not a JSON object")
    return body


def object_in(holder: Json, key: str) -> Json:
    """The object under a key, an empty one where there is none. Raises ``InvalidSubmission``."""
    value = holder.get(key)
    if value is not None and not isinstance(value, dict):
        raise InvalidSubmission(f"{key} is not an object")
    return value or {}


class Lottery:
    """Random numbers that depend on the seed and on the request alone, never on when it came or what ran beside it.

    Requests that differ get numbers of their own; of equal ones the first, second, ... get theirs in that order.
    The receiver's address is left out: it is another one in each run. The newest ``retained`` requests are counted.
    """

    def __init__(self, seed: int, retained: int) -> None:
        self._seed = seed
        self._retained = retained
        self._seen: OrderedDict[bytes, int] = OrderedDict()

    def ticket(self, path: str, body: Json) -> Random:
        asked = {key: value for key, value in body.items() if key != "callback"}
        if isinstance(body.get("extra"), dict):
            asked["extra"] = {key: value for key, value in body["extra"].items() if key != "webhook"}
        if not asked.get("extra", True):
            del asked["extra"]
        text = f"{self._seed}|{path}|".encode() + orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)
        digest = blake2b(text, digest_size=16).digest()
        count = self._seen.pop(digest, 0)
        self._seen[digest] = count + 1
        if len(self._seen) > self._retained:
            self._seen.popitem(last=False)
        return Random(digest + count.to_bytes(8))  # noqa: S311 - repeatable on purpose
