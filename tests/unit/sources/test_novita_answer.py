"""What the answer to a submission says about a task, in the shapes of the vendor's pages and in none of them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.dedup import judge
from relay.core.event import Draft
from relay.core.source import Delivery, Unreadable
from relay.sources.novita_task import MAX_PARSED, NovitaTask

PATH = "/v3/async/txt2img"
NOW = 1_748_563_200_000
FLUX = {
    "images": [{"image_url": "https://out.example/7.png", "image_url_ttl": 604800, "image_type": "png"}],
    "task": {"task_id": "x7"},
}


def read(body: Any) -> tuple[Draft, ...] | Unreadable:
    return NovitaTask().read_answer(PATH, body if isinstance(body, bytes) else orjson.dumps(body), NOW)


def event_ids(body: Any) -> list[str]:
    """The ids of the events that the answer makes."""
    drafts = read(body)
    assert not isinstance(drafts, Unreadable), drafts
    return [draft.event.id for draft in drafts]


@pytest.mark.parametrize(
    ("body", "events"),
    [
        ({"task_id": "t1"}, ["t1:submitted"]),
        ({"task": {"task_id": "t1"}}, ["t1:submitted"]),
        ({"task": {"task_id": "t1"}, "images": [], "videos": None}, ["t1:submitted"]),
        ({"task": {"task_id": "t1", "status": "TASK_STATUS_QUEUED"}, "images": []}, ["t1:submitted"]),
        ({"task": {"task_id": "t1", "status": "TASK_STATUS_FAILED"}}, ["t1:submitted", "t1:failed"]),
        ({"task": {"task_id": "t1", "status": "TASK_STATUS_NEW"}, "images": ["https://a/1"]}, ["t1:submitted"]),
        ({"task": {"task_id": "t1", "status": 3}, "images": ["https://a/1"]}, ["t1:submitted"]),
        (FLUX, ["x7:submitted", "x7:succeeded"]),
        ({"task_id": "t1", "images": ["https://a/1.png"]}, ["t1:submitted", "t1:succeeded"]),
        ({"task_id": "t1", "task": "x"}, ["t1:submitted"]),
        (b'{"task_id":"t1","images":[broken]}', ["t1:submitted"]),
        (b' {"image_file": "QUJD", "task_id" : "t1"} ', ["t1:submitted"]),
        ({"task_id": None}, []),
        ({"images": ["https://a/1.png"]}, []),
        ({"image_urls": ["https://a/1.png"], "binary_data_base64": []}, []),
        ({"image_file": "QUJD", "image_type": "png"}, []),
        ({"prompt": 'a kite with "task_id":"t9"'}, []),
        ({"request": {"task_id": "t9"}}, []),
        ({}, []),
    ],
)
def test_each_shape_of_an_answer_makes_its_events(body: Any, events: list[str]) -> None:
    """A task that was paid for would not be known, or one that does not exist would be waited for."""
    assert event_ids(body) == events


@pytest.mark.parametrize("task_id", [7, "", " ", "a b", "x" * 129, ["t1"], {"id": "t1"}, True, "ta\u017fk", "a/../b"])
@pytest.mark.parametrize("where", ["top", "task"])
def test_a_task_id_of_another_shape_is_invalid(task_id: Any, where: str) -> None:
    """What is no id would become a subject, a key and part of a path."""
    unreadable = read({"task_id": task_id} if where == "top" else {"task": {"task_id": task_id}})
    assert isinstance(unreadable, Unreadable)
    assert unreadable.reason == "invalid_task_id"


@pytest.mark.parametrize("body", [b"", b"<html>502</html>", b"[]", b'"t1"', b"null", b'{"task_id":"t1"', b"\x00\xff"])
def test_what_is_no_object_is_reported(body: bytes) -> None:
    """A gateway's page instead of an answer would go unnoticed."""
    unreadable = read(body)
    assert isinstance(unreadable, Unreadable)
    assert unreadable.reason == "not_json"


@given(st.binary(max_size=80) | st.text(alphabet='{}[]":,\\task_id1 ', max_size=80).map(str.encode))
def test_no_answer_makes_it_fail(body: bytes) -> None:
    """An upstream that answers nonsense would cost the client its answer."""
    read(body)


def test_a_synchronous_answer_is_the_success_that_a_poll_would_report() -> None:
    """The end would be published again, or as a contradiction, when a webhook or a poll reports it a second time."""
    drafts = read(FLUX)
    assert not isinstance(drafts, Unreadable)
    submitted, ended = drafts
    data = orjson.loads(ended.event.data)
    assert (data["status"], data["observed_via"], data["raw"]) == ("succeeded", "submit", FLUX)
    assert data["outputs"][0]["url"] == "https://out.example/7.png"
    assert orjson.loads(submitted.event.data)["observed_via"] == "submit"
    polled = {**FLUX, "task": {"task_id": "x7", "status": "TASK_STATUS_SUCCEED"}}
    again = NovitaTask().normalize(Delivery(orjson.dumps(polled), NOW + 5000, "poll"))
    assert isinstance(again, Draft)
    assert again.key == ended.key
    assert judge(again, ended.fingerprint) is None


def test_a_large_file_in_an_answer_is_neither_parsed_nor_published() -> None:
    """An image in base64 would make an event of megabytes, which brokers refuse."""
    image = "QUJD" * (1 << 20)
    (draft,) = NovitaTask().read_answer(PATH, bytearray(orjson.dumps({"task_id": "t1", "image_file": image})), NOW)
    assert isinstance(draft, Draft)
    assert len(draft.event.data) < 1000
    assert event_ids({"task": {"task_id": "t1"}, "images": [image]}) == ["t1:submitted"]
    assert event_ids({"task": {"task_id": "t1"}, "images": ["u" * (MAX_PARSED // 2)]}) == [
        "t1:submitted",
        "t1:succeeded",
    ]


def test_secrets_and_prompts_do_not_reach_the_event() -> None:
    """The webhook's address or a prompt that the upstream echoes would be published."""
    extra = {"webhook": {"url": "https://r.example/h/t0k3n"}, "debug_info": {"request_info": "kite"}}
    drafts = read({**FLUX, "extra": extra})
    assert not isinstance(drafts, Unreadable)
    assert all(b"t0k3n" not in draft.event.data and b"kite" not in draft.event.data for draft in drafts)


@pytest.mark.parametrize(
    ("path", "task_type"),
    [
        ("/v3/async/kling-v2.1-t2v-master", "kling-v2.1-t2v-master"),
        ("/v3beta/flux-1-schnell", "flux-1-schnell"),
        ("/v3/video/create", "video/create"),
        ("/v3/async/" + "x" * 101, None),
        ("/v3/async/a%20b", None),
    ],
)
def test_until_its_type_is_known_a_task_is_of_its_endpoint(path: str, task_type: str | None) -> None:
    """Nobody would know what was submitted, nor how long it usually takes."""
    (draft,) = NovitaTask().read_answer(path, b'{"task_id":"t1"}', NOW)
    assert isinstance(draft, Draft)
    assert orjson.loads(draft.event.data)["task_type"] == task_type
    typed = b'{"task":{"task_id":"t1","task_type":"TXT_TO_IMG"}}'
    (draft,) = NovitaTask().read_answer(path, typed, NOW)
    assert isinstance(draft, Draft)
    assert orjson.loads(draft.event.data)["task_type"] == "TXT_TO_IMG"
