"""The answers of an API of the simulator that names its events."""

from __future__ import annotations

from random import Random
from typing import Any

import orjson

from relay.simulator.chat.apis.api import Api
from relay.simulator.chat.behaviour import Behaviour
from relay.simulator.chat.reply import invent

Json = dict[str, Any]


def answers_of(api: Api, body: Json, behaviour: Behaviour) -> tuple[list[Json], Json]:
    """The events of a stream, and the same answer in one piece."""
    request = api.read(body | {"stream": True})
    behaviour = api.expressed(behaviour, request)
    reply = invent(request, behaviour, Random(3), 1_700_000_000, api.ids)
    events = []
    for frame in api.stream(reply, request, behaviour, Random(3)):
        name, data = frame.removesuffix(b"\n\n").split(b"\n")
        events.append(orjson.loads(data.removeprefix(b"data: ")))
        assert name == b"event: " + events[-1]["type"].encode()
    return events, orjson.loads(api.document(reply, behaviour))
