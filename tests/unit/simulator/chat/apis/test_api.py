from __future__ import annotations

from random import Random
from typing import Any

import orjson
import pytest

from relay.simulator.chat.apis import APIS
from relay.simulator.chat.apis.api import Api, framed, turns
from relay.simulator.chat.behaviour import Behaviour
from relay.simulator.chat.reply import Reply, invent

Json = dict[str, Any]

ASKED: dict[str, Json] = {
    "chat/completions": {"messages": [{"role": "user", "content": "fly a kite"}]},
    "completions": {"prompt": "fly a kite"},
    "messages": {"messages": [{"role": "user", "content": "fly a kite"}], "max_tokens": 100},
    "responses": {"input": "fly a kite"},
}
EACH = pytest.mark.parametrize("api", APIS, ids=lambda api: api.route)


def answered(api: Api, behaviour: Behaviour) -> tuple[Reply, bytes]:
    """What was said, and the stream that says it."""
    request = api.read({"model": "org/m", "stream": True} | ASKED[api.route])
    expressed, rng = api.expressed(behaviour, request), Random(3)
    reply = invent(request, expressed, rng, 1_700_000_000, api.ids)
    return reply, b"".join(api.stream(reply, request, expressed, rng))


@EACH
def test_a_stream_says_every_piece_of_the_answer(api: Api) -> None:
    """A client of the simulator would read another answer than the one that was made up."""
    reply, sent = answered(api, Behaviour(echo=True))
    assert [orjson.dumps(piece) in sent for piece in ("fly", " a", " kite")] == [True] * 3
    assert reply.completion_id.startswith(api.ids)


@EACH
def test_an_error_in_mid_stream_is_one_frame_of_its_own_shape(api: Api) -> None:
    """An error would be taken for a piece of the answer."""
    reply, _ = answered(api, Behaviour())
    own = b"".join(api.error_frames("own", reply, 4))
    assert own.endswith(b"\n\n")
    assert b"overloaded" in own
    assert own != b"".join(api.error_frames("flat", reply, 4))


@EACH
def test_directives_that_mean_nothing_to_an_api_are_ignored(api: Api) -> None:
    """An API would be answered with pieces that it does not have."""
    _, sent = answered(api, Behaviour(tools=1, null_choices=True, unknown_keys=True))
    assert (b"null" in sent, b"provider_hints" in sent) == (True, True)
    assert (b"look_up" in sent) is ("tools" not in api.ignores)
    assert (b'"choices":null' in sent) is ("null_choices" not in api.ignores)


@pytest.mark.parametrize(("done", "types"), [("", "ab"), ("absent", "a"), ("alone", "b"), ("event", "ab")])
def test_named_events_end_in_each_variant(done: str, types: str) -> None:
    """A stream that lacks its last event, or has one that its API does not know, would never be met."""
    sent = b"".join(framed(iter([{"type": "a"}, {"type": "b"}]), Behaviour(done=done)))
    assert sent.startswith(b"".join(b'event: %c\ndata: {"type":"%c"}\n\n' % (ord(each), ord(each)) for each in types))
    assert sent.endswith(b"[DONE]\n\n") is (done == "event")


def test_choices_take_turns() -> None:
    """Several choices would come one after the other, and never mixed as they do."""
    pieces = turns([iter([{"a": 1}, {"a": 2}]), iter([{"b": 1}])])
    assert list(pieces) == [{"a": 1}, {"b": 1}, {"a": 2}]
