"""The Novita task source against sample payloads, and against anything else that JSON or bytes can be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from relay.core.clock import rfc3339
from relay.core.event import Draft
from relay.core.redact import TOO_DEEP
from relay.core.source import Delivery, Ignored, Normalized, NotJSON, Unreadable
from relay.core.tasks.events import TaskData
from relay.sources.novita_task import STATUSES, NovitaTask

RECEIVED_AT = 1_700_000_005_000
SAMPLES = Path(__file__).parents[2] / "samples" / "novita_task"
NAMES = sorted(path.stem for path in SAMPLES.glob("*.json") if not path.name.endswith(".expected.json"))
VALIDATOR = Draft202012Validator(
    TypeAdapter(TaskData).json_schema(), format_checker=Draft202012Validator.FORMAT_CHECKER
)


def normalize(body: bytes, *, via: Any = "webhook", **settings: bool) -> Normalized:
    return NovitaTask(**settings).normalize(Delivery(body, RECEIVED_AT, via))


def outcome(normalized: Normalized) -> dict[str, Any]:
    """A normalized delivery in the words of the files ``*.expected.json``."""
    match normalized:
        case Draft(event=event):
            return {"event": {**dict(event.attributes()), "data": orjson.loads(event.data)}}
        case Ignored(reason=reason):
            return {"ignored": reason}
        case Unreadable(reason=reason):
            return {"unreadable": reason}
        case NotJSON():
            return {"not_json": True}


@pytest.mark.parametrize("name", NAMES)
def test_sample(name: str) -> None:
    """A shape that the upstream is known or expected to send would become another event than consumers rely on."""
    expected = json.loads((SAMPLES / f"{name}.expected.json").read_text())
    given = expected.pop("given", {})
    via = given.pop("via", "webhook")
    assert outcome(normalize((SAMPLES / f"{name}.json").read_bytes(), via=via, **given)) == expected
    if "event" in expected:
        VALIDATOR.validate(expected["event"]["data"])


def test_every_sample_has_its_expectation() -> None:
    """A sample could be added, or an expectation left behind, without being tested."""
    assert len(NAMES) > 50
    assert {path.name for path in SAMPLES.iterdir()} == {
        f"{n}{end}" for n in NAMES for end in (".json", ".expected.json")
    }


def succeeded(**parts: Any) -> bytes:
    task = {"task_id": "t1", "status": "TASK_STATUS_SUCCEED"}
    return orjson.dumps({"event_type": "ASYNC_TASK_RESULT", "payload": {"task": task, **parts}})


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(
        ["0", "3600", "1e3", "-1", "١٢", "1_0", "https://a/b?X-Amz-Date=20230231T000000Z&X-Amz-Expires=1"]
    )
    | st.sampled_from(["https://a/b?q-sign-time=1;99999999999", "X-Amz-Date=", "q-sign-time=", "\ud7ff", "\x00"])
)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


def like(keys: list[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(keys), values, max_size=len(keys))


entries = like(
    [f"{kind}_{part}" for kind in ("image", "video", "audio") for part in ("url", "url_ttl", "type", "metadata")]
    + ["nsfw_detection_result"],
    json_values | like(["valid", "confidence"], scalars),
)
debug = like(["submit_time_ms", "execute_time_ms", "complete_time_ms", "request_info"], json_values)
webhook = like(["url", "test_mode"], json_values | like(["enabled", "return_task_status"], scalars))
tasks = st.fixed_dictionaries(
    {"task_id": st.just("t1") | json_values, "status": st.sampled_from(sorted(STATUSES)) | json_values},
    optional=dict.fromkeys(("task_type", "reason", "eta", "progress_percent"), json_values),
)
results = st.fixed_dictionaries(
    {"task": tasks | json_values},
    optional={
        "extra": json_values | like(["seed", "debug_info", "webhook"], debug | webhook | json_values),
        **{
            array: json_values | st.lists(entries | json_values, max_size=3) for array in ("images", "videos", "audios")
        },
    },
)
documents = results | st.fixed_dictionaries({"payload": results}, optional={"event_type": json_values}) | json_values


@given(documents, st.sampled_from(["webhook", "poll", "submit"]), st.booleans(), st.booleans())
def test_any_json_is_normalized_and_every_event_matches_the_schema(
    document: Any, via: str, progressed: bool, raw: bool
) -> None:
    """One odd payload would answer 500 to the upstream, which gives up after a few tries: the event would be lost."""
    normalized = normalize(orjson.dumps(document), via=via, progressed=progressed, raw=raw)
    assert not isinstance(normalized, NotJSON)
    if isinstance(normalized, Draft):
        VALIDATOR.validate(orjson.loads(normalized.event.data))


@given(st.binary(max_size=200))
@example(b"")
@example(b"\xef\xbb\xbf{}")
@example(b'{"a":NaN}')
@example(b'{"a":1e400}')
@example(b"1" * 5000)
@example(b'"\xff"')
@example(b'"\\ud800"')
@example(b"[" * 100_000)
@example(b"[" * 100_000 + b"]" * 100_000)
@example(b'{"payload":' * 100_000)
def test_any_bytes_are_normalized(body: bytes) -> None:
    """Junk from the network would raise instead of being answered with a 400."""
    normalized = normalize(body)
    assert isinstance(normalized, NotJSON | Unreadable)
    if isinstance(normalized, NotJSON):
        assert 0 < len(normalized.detail) <= 120


@pytest.mark.parametrize("levels", [100, 200, 300, 1000])
@pytest.mark.parametrize("place", ["extra", "images"])
def test_deep_junk_does_not_cost_the_event(levels: int, place: str) -> None:
    """A task would never end for its consumers because of an absurd field beside the result."""
    junk = b'{"n":' * levels + b'{"webhook":"https://relay.example/h/t0k3n"}' + b"}" * levels
    if place == "images":
        junk = b'[{"image_url":"https://out.example/1","image_metadata":' + junk + b"}]"
    body = b'{"task":{"task_id":"t1","status":"TASK_STATUS_SUCCEED"},"%s":%s}' % (place.encode(), junk)
    normalized = normalize(body)
    assert isinstance(normalized, Draft)
    data = orjson.loads(normalized.event.data)
    assert data["status"] == "succeeded"
    assert b"t0k3n" not in normalized.event.data
    assert (TOO_DEEP.encode() in normalized.event.data) == (levels >= 300)


@pytest.mark.parametrize("levels", range(240, 260))
def test_no_depth_falls_between_what_is_read_and_what_is_written(levels: int) -> None:
    """A document that parses but is one level too deep to be written would raise."""
    junk = b'{"n":' * levels + b"1" + b"}" * levels
    assert isinstance(normalize(b'{"task":{"task_id":"t1","status":"TASK_STATUS_FAILED"},"x":%s}' % junk), Draft)


@pytest.mark.parametrize("key", ["url", "\\u0075rl"])
@pytest.mark.parametrize("holder", ["webhook", "\\u0077ebhook", "WebHook"])
def test_no_spelling_of_a_webhook_key_gets_its_address_through(holder: str, key: str) -> None:
    """The receiver's own address, its only secret, would be published to every consumer."""
    body = (
        '{"task":{"task_id":"t1","status":"TASK_STATUS_SUCCEED"},'
        f'"extra":{{"{holder}":{{"{key}":"https://relay.example/h/t0k3n"}}}}}}'
    )
    normalized = normalize(body.encode())
    assert isinstance(normalized, Draft)
    assert b"t0k3n" not in normalized.event.data


def test_metadata_is_redacted_even_without_raw() -> None:
    """A secret in an output's metadata would be published when ``raw`` is off."""
    body = succeeded(audios=[{"audio_url": "a", "audio_metadata": {"callback": "https://relay.example/h/t0k3n"}}])
    normalized = normalize(body, raw=False)
    assert isinstance(normalized, Draft)
    assert b"t0k3n" not in normalized.event.data


@pytest.mark.parametrize(
    "number", ["²", "١٢", "1_0", " 5", "+5", "-5", "5.", ".5", "1e3", "0x5", "NaN", "inf", "9" * 16, True]
)
def test_what_only_looks_like_a_number_is_unknown(number: Any) -> None:
    """A consumer would compute with a number that the upstream never meant, or the event be lost to an exception."""
    normalized = normalize(succeeded(images=[{"image_url": "https://out.example/1", "image_url_ttl": number}]))
    assert isinstance(normalized, Draft)
    output = orjson.loads(normalized.event.data)["outputs"][0]
    assert (output["ttl_seconds"], output["expires_at"]) == (None, None)


@pytest.mark.parametrize("date", ["20161231T235960Z", "20230231T000000Z", "20231114T246000Z", "20231114"])
def test_a_signing_time_that_does_not_exist_leaves_the_ttl(date: str) -> None:
    """An output would expire at a time that nobody stated, or one odd link would cost the event."""
    url = f"https://out.example/1?X-Amz-Date={date}&X-Amz-Expires=60"
    normalized = normalize(succeeded(images=[{"image_url": url, "image_url_ttl": 3600}]))
    assert isinstance(normalized, Draft)
    output = orjson.loads(normalized.event.data)["outputs"][0]
    assert output["expires_at"] == rfc3339(RECEIVED_AT + 3_600_000)


def test_instants_that_have_no_text_are_unknown() -> None:
    """A time beyond the year 9999 would raise and cost the event."""
    url = "https://out.example/1?X-Amz-Date=99991231T235959Z&X-Amz-Expires=3600"
    body = succeeded(images=[{"image_url": url}], extra={"debug_info": {"complete_time_ms": "999999999999999"}})
    normalized = normalize(body)
    assert isinstance(normalized, Draft)
    data = orjson.loads(normalized.event.data)
    assert data["outputs"][0]["expires_at"] is data["timings"]["finished_at"] is None


def test_webhook_and_poll_report_the_same_fact() -> None:
    """A task whose end arrives twice, by webhook and by poll, would end twice."""
    envelope = succeeded(images=[{"image_url": "https://out.example/1.png?X-Amz-Signature=00"}])
    polled = orjson.dumps(
        {**orjson.loads(envelope)["payload"], "images": [{"image_url": "https://out.example/1.png?s=1"}]}
    )
    first, second = normalize(envelope), normalize(polled, via="poll")
    assert isinstance(first, Draft)
    assert isinstance(second, Draft)
    assert (first.key, first.fingerprint, first.event.id) == (second.key, second.fingerprint, second.event.id)


@pytest.mark.parametrize("value", ["s3cret/path", "https://relay.example/h/t0k3n", "x" * 81, "a\nb", "é"])
@pytest.mark.parametrize("place", ["event_type", "task_id", "status"])
def test_details_do_not_echo_what_might_be_a_secret(place: str, value: str) -> None:
    """Logs and dead letters would quote addresses or whole payloads."""
    task = {"task_id": "t1", "status": "TASK_STATUS_SUCCEED", place: value}
    document = {"event_type": value} if place == "event_type" else {"task": task}
    if place == "task_id" and value == "x" * 81:
        value = document["task"]["task_id"] = "x" * 129  # type: ignore[index]
    normalized = normalize(orjson.dumps(document))
    assert isinstance(normalized, Unreadable)
    assert value not in normalized.detail
    assert f"{len(value)} characters" in normalized.detail


def test_an_unknown_status_is_kept_under_its_task() -> None:
    """The dead letter of a new kind of ending could not be found by its task id."""
    normalized = normalize(b'{"task":{"task_id":"t1","status":"TASK_STATUS_CANCELED"}}')
    assert isinstance(normalized, Unreadable)
    assert (normalized.subject, normalized.reason) == ("t1", "unknown_status")
