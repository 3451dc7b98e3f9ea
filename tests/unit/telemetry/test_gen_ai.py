"""A chat's span in the words of the semantic conventions, and what must not be in it."""

from __future__ import annotations

from typing import Any

from relay.core.chat.events import TOKENS, ChatData, Opening
from relay.telemetry.gen_ai import (
    answer_attributes,
    event_attributes,
    metric_attributes,
    request_attributes,
    span_name,
    tokens_counted,
)


def ended(**changes: Any) -> ChatData:
    choice = {"index": 0, "role": "assistant", "content": "the answer", "reasoning_content": "hm", "tool_calls": []}
    data: dict[str, Any] = {
        "chat_id": "s1",
        "api": "messages",
        "completion_id": "c1",
        "model": "a/m-0825",
        "outcome": "completed",
        "reason": None,
        "http_status": 200,
        "error": {"code": "1", "type": "t", "message": "the message"},
        "choices": [choice | {"finish_reason": "stop"}],
        "tokens": {"input": 5, "output": 7, "cached": 3, "cache_written": 0, "reasoning": 2},
        "chunks": 9,
        "timings": {"started_at": "", "first_byte_ms": 12, "first_token_ms": 20, "duration_ms": 900},
        "client": "web",
        "request": {"system": "the rules", "messages": [{"role": "user", "content": "the prompt"}]},
    }
    return data | changes  # type: ignore[return-value]


def attributes(**changes: Any) -> dict[str, Any]:
    """The attributes of a chat's span, without those that are left out."""
    return {name: value for name, value in answer_attributes(ended(**changes)).items() if value is not None}


def test_a_request_has_its_model() -> None:
    """The traces of different models could not be distinguished."""
    assert request_attributes(Opening("s1", 0, 0.0, model="a/m", client="web")) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "novita",
        "gen_ai.request.model": "a/m",
        "gen_ai.request.stream": True,
        "relay.chat.id": "s1",
        "relay.chat.api": "chat_completions",
        "relay.client": "web",
    }


def test_an_answer_has_its_tokens_its_times_and_its_outcome() -> None:
    """The views that tracing tools have for models would stay empty."""
    assert attributes() == {
        "gen_ai.response.id": "c1",
        "gen_ai.response.model": "a/m-0825",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.response.time_to_first_chunk": 0.012,
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "http.response.status_code": 200,
        "relay.chat.time_to_first_token": 0.02,
        "relay.chat.outcome": "completed",
        "relay.chat.chunks": 9,
    }


def test_nothing_that_was_said_is_exported() -> None:
    """Prompts and answers would be kept where everybody who looks at traces reads them."""
    assert "the " not in str(attributes()) + str(request_attributes(Opening("s1", 0, 0.0)))


def test_a_model_that_did_not_answer_is_not_reported_as_one_that_did() -> None:
    """The model that was asked for would look like the one that answered."""
    nothing = {"started_at": "", "first_byte_ms": None, "first_token_ms": None, "duration_ms": 5}
    unknown = dict.fromkeys(TOKENS)
    failed = {"outcome": "failed", "reason": "upstream_reset", "http_status": None, "chunks": 0}
    assert attributes(completion_id=None, choices=[], tokens=unknown, timings=nothing, **failed) == {
        "relay.chat.outcome": "failed",
        "relay.chat.reason": "upstream_reset",
        "relay.chat.chunks": 0,
    }


def test_each_api_is_called_what_the_conventions_call_it() -> None:
    """A completion would be counted among chats, or a chat under a name that no view knows."""
    named = {api: span_name(Opening("s1", 0, 0.0, model="a/m", api=api)) for api in ("completions", "messages")}
    assert named == {"completions": "text_completion a/m", "messages": "chat a/m"}
    assert span_name(Opening("s1", 0, 0.0)) == "chat"


def test_metrics_say_of_a_chat_what_the_conventions_want_and_no_more() -> None:
    """Every collector would keep a series for each chat; or the views of models would stay empty."""
    assert metric_attributes("a/m", ended(api="completions", outcome="failed", reason="truncated")) == {
        "gen_ai.operation.name": "text_completion",
        "gen_ai.provider.name": "novita",
        "gen_ai.request.model": "a/m",
        "gen_ai.response.model": "a/m-0825",
        "error.type": "truncated",
    }
    assert len(metric_attributes("m" * 256, ended())["gen_ai.request.model"]) == 100
    assert "error.type" not in metric_attributes(None, ended(outcome="cancelled", reason="client_gone"))
    assert tokens_counted(ended()) == {
        "input_tokens": 5,
        "output_tokens": 7,
        "cache_read.input_tokens": 3,
        "reasoning.output_tokens": 2,
    }


def test_an_event_has_no_content_unless_the_setting_says_so() -> None:
    """Conversations would be in the logs of everybody who wanted the figures."""
    bare = event_attributes("a/m", ended(), content=False)
    assert "the " not in str(bare)
    assert (bare["gen_ai.request.model"], bare["gen_ai.usage.output_tokens"]) == ("a/m", 7)
    assert (bare["relay.chat.id"], bare["relay.client"]) == ("s1", "web")


def test_an_event_with_content_has_the_parts_that_the_conventions_define() -> None:
    """Tools that show conversations would show none, or not who said what."""
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    choice = {"index": 0, "role": None, "content": "the answer", "reasoning_content": "hm", "finish_reason": "stop"}
    said = [
        {"role": "user", "content": "hi"},
        {"role": "user", "content": [{"type": "text", "text": "see"}, {"type": "image", "source": {}}, 7]},
        {"role": 1, "content": None},
        "alone",
    ]
    data = ended(choices=[choice | {"tool_calls": [call]}], request={"system": "rules", "messages": said})
    found = event_attributes(None, data, content=True)
    assert found["gen_ai.system_instructions"] == [{"type": "text", "content": "rules"}]
    assert found["gen_ai.input.messages"] == [
        {"role": "user", "parts": [{"type": "text", "content": "hi"}]},
        {
            "role": "user",
            "parts": [{"type": "text", "content": "see"}, {"type": "image"}, {"type": "unknown"}],
        },
        {"role": "user", "parts": []},
        {"role": "user", "parts": [{"type": "text", "content": "alone"}]},
    ]
    assert found["gen_ai.output.messages"] == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "hm"},
                {"type": "text", "content": "the answer"},
                {"type": "tool_call", "id": "c", "name": "now", "arguments": "{}"},
            ],
            "finish_reason": "stop",
        }
    ]
    assert "gen_ai.input.messages" not in event_attributes(None, ended(request=None), content=True)
