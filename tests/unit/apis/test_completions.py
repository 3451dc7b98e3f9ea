"""What a completion says, put together."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from relay.apis.completions import Completion
from relay.core.chat.reader import BodyReader, StreamReader


def chunk(text: Any, finish: Any = None, **keys: Any) -> dict[str, Any]:
    return {"id": "cmpl-1", "model": "m", "choices": [{"index": 0, "text": text, "finish_reason": finish}], **keys}


def read(*chunks: dict[str, Any]) -> tuple[Completion, StreamReader]:
    assembly = Completion()
    reader = StreamReader(assembly)
    reader.read(b"".join(b"data: %b\n\n" % orjson.dumps(each) for each in chunks) + b"data: [DONE]\n\n")
    return assembly, reader


def test_a_stream_is_a_choice_without_a_role() -> None:
    """Consumers would have to know two shapes of an answer."""
    usage = {"prompt_tokens": 2, "completion_tokens": 30}
    texts = [str(number) for number in range(30)]
    assembly, reader = read(*map(chunk, texts), chunk("", "stop"), {"choices": [], "usage": usage})
    (choice,) = assembly.choices()
    assert (choice["role"], choice["content"], choice["finish_reason"]) == (None, "".join(texts), "stop")
    assert (reader.done, reader.chunks, assembly.tokens()["output"]) == (True, 32, 30)
    assert reader._template is not None


def test_a_body_says_the_same() -> None:
    """An answer that is not streamed would be another event."""
    assembly = Completion()
    reader = BodyReader(assembly)
    reader.read(orjson.dumps(chunk("Hi", "length")))
    reader.close(200)
    assert assembly.choices() == read(chunk("Hi", "length"))[0].choices()


@pytest.mark.parametrize("odd", [{}, {"choices": None}, {"choices": [None, 7]}, chunk(None), chunk(7, 7), chunk([])])
def test_whatever_a_chunk_holds_breaks_nothing(odd: dict[str, Any]) -> None:
    """A stream of a server that is nearly compatible would lose its recording."""
    assembly, reader = read(odd, chunk("a", "stop"))
    assert (assembly.choices()[0]["content"], reader.gaps) == ("a", 0)


@pytest.mark.parametrize("choice", [{"index": 1, "text": "x"}, {"index": 0, "text": 7}, {"index": 0, "text": ""}])
def test_only_a_text_of_a_choice_that_has_begun_is_taken_for_one(choice: dict[str, Any]) -> None:
    """Chunks that add nothing, or to another choice, would be read as texts: their content would be wrong."""
    assembly, _ = read(chunk("a"))
    assert assembly.only_text(chunk("b")) is not None
    assert assembly.only_text({"choices": [choice]}) is None


def test_an_error_is_recognized() -> None:
    """A stream that broke off would pass for one that was cut."""
    assembly, _ = read(chunk("a"), {"error": {"message": "overloaded", "type": "server_error", "code": 503}})
    assert assembly.error == {"code": "503", "type": "server_error", "message": "overloaded"}


def test_without_texts_nothing_of_them_is_left() -> None:
    """What a model said would leave relay although content is not captured."""
    bare = Completion.without_texts(chunk("secret", "stop", usage={"prompt_tokens": 1}, other="secret"))
    assert bare["choices"] == [{"index": 0, "finish_reason": "stop"}]
    assert "secret" not in str(bare)
