from __future__ import annotations

import base64
from typing import Any

import pytest

from relay.simulator.chat.delivery import STREAM_HEADERS, Answer, End, Piece
from relay.simulator.chat.scripts import RETAINED, InvalidScript, Scripts, named_in, read
from relay.simulator.directives import UnknownFault


def test_answers_come_in_turn_and_the_last_one_stays() -> None:
    """An upstream that fails once and then works could not be simulated."""
    scripts = Scripts()
    script_id = scripts.register([Answer(503), Answer(200)])
    assert [scripts.next(script_id).status for _ in range(3)] == [503, 200, 200]


def test_scripts_do_not_share_their_turns() -> None:
    """Two tests at once would play each other's answers."""
    scripts = Scripts()
    first, second = (scripts.register([Answer(500), Answer(200)]) for _ in range(2))
    assert [scripts.next(first).status, scripts.next(second).status] == [500, 500]


def test_an_unknown_script_is_an_error_and_old_ones_go() -> None:
    """A test would be served something else than it wrote, or a simulator in staging would grow without end."""
    scripts = Scripts()
    oldest = scripts.register([Answer(200)])
    for _ in range(RETAINED):
        scripts.register([Answer(200)])
    with pytest.raises(UnknownFault, match=oldest):
        scripts.next(oldest)
    with pytest.raises(InvalidScript):
        scripts.register([])


@pytest.mark.parametrize(
    ("header", "script"), [("script=s1", "s1"), (" Script = s2 ", "s2"), ("cut", None), ("", None)]
)
def test_a_header_names_its_script(header: str, script: str | None) -> None:
    """A scripted answer would be looked for under another name."""
    assert named_in(header) == script


def test_a_script_is_read_byte_for_byte() -> None:
    """What a test hands over would not be what is sent."""
    data = bytes(range(256))
    pieces = [{"text": "data: é\n\n"}, {"base64": base64.b64encode(data).decode(), "pause": 0.5}]
    [full, plain] = read({"answers": [{"status": 429, "headers": [["A", "b"]], "pieces": pieces, "end": "reset"}, {}]})
    assert full == Answer(429, (("A", "b"),), (Piece("data: é\n\n".encode()), Piece(data, 0.5)), End.RESET)
    assert plain == Answer(200, STREAM_HEADERS)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"answers": [3]},
        {"answers": [{"end": "bang"}]},
        {"answers": [{"pieces": [{}]}]},
        {"answers": [{"pieces": [{"base64": "?"}]}]},
        {"answers": [{"headers": [1]}]},
    ],
)
def test_a_script_that_cannot_be_read_is_refused(body: dict[str, Any]) -> None:
    """A mistake in a test would look like one of the proxy."""
    with pytest.raises(InvalidScript):
        read(body)
