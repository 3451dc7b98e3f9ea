from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest

from relay.simulator.tasks.results import Json, envelope, result, sign, style_of
from relay.simulator.tasks.task import FAILED
from tests.unit.simulator.tasks.tasks_made import SUBMITTED_AT, make_task

NAMES = ("txt2img", "qwen-image-txt2img", "minimax-hailuo-02", "img2video", "minimax-speech-02-hd")


def bodies(name: str) -> Iterator[Json]:
    for seed in range(60):
        task = make_task(name, style_seed=seed, webhook={"url": "https://relay.example/h/t0k3n"})
        yield result(task, task.at(9.0), SUBMITTED_AT)


@pytest.mark.parametrize(
    ("name", "array", "key"),
    [
        ("txt2img", "images", "image_url"),
        ("img2video", "videos", "video_url"),
        ("minimax-speech-02-hd", "audios", "audio_url"),
    ],
)
def test_outputs_come_in_the_array_of_their_kind(name: str, array: str, key: str) -> None:
    """A receiver that classifies by array, as it should, would see the wrong kind or none."""
    for body in bodies(name):
        assert [key in output for output in body[array]] == [True]
        others = {"images", "videos", "audios"} - {array}
        assert all(body.get(other, []) == [] for other in others)


def test_the_variations_of_the_vendors_own_samples_all_occur() -> None:
    """A receiver that breaks on one of them would pass every test against the simulator."""
    seen: set[str] = set()
    for name in NAMES:
        for body in bodies(name):
            seen |= set(_traits(body))
    assert seen >= {
        "extra absent", "extra empty", "extra filled", "audios absent", "audios present", "eta absent", "eta present",
        "progress absent", "progress present", "ttl str", "ttl int", "ttl zero", "nsfw absent", "nsfw null",
        "nsfw empty", "nsfw filled", "seed str", "seed int", "unknown key", "task first", "task last",
    }  # fmt: skip


def _traits(body: Json) -> Iterator[str]:
    extra, task = body.get("extra"), body["task"]
    yield "extra " + ("absent" if extra is None else "filled" if extra else "empty")
    if extra:
        yield f"seed {type(extra['seed']).__name__}"
    yield "audios " + ("present" if "audios" in body else "absent")
    yield "eta " + ("present" if "eta" in task else "absent")
    yield "progress " + ("present" if "progress_percent" in task else "absent")
    yield "task first" if next(iter(body)) == "task" else "task last"
    if "trace" in body:
        yield "unknown key"
    for output in body["images"] + body["videos"]:
        ttl = next(value for key, value in output.items() if key.endswith("_ttl"))
        yield "ttl zero" if ttl == "0" else f"ttl {type(ttl).__name__}"
        yield "nsfw " + _verdict(output)


def _verdict(output: Json) -> str:
    if "nsfw_detection_result" not in output:
        return "absent"
    verdict = output["nsfw_detection_result"]
    if verdict is None:
        return "null"
    return "filled" if verdict else "empty"


def test_the_receivers_url_and_the_prompt_come_back_inside_the_payload() -> None:
    """A receiver that publishes them unredacted would not be caught."""
    filled = next(body["extra"] for body in bodies("txt2img") if body.get("extra"))
    assert filled["webhook"] == {"url": "https://relay.example/h/t0k3n"}
    assert orjson.loads(filled["debug_info"]["request_info"]) == {"prompts": ["a kite"]}
    assert filled["debug_info"]["submit_time_ms"] == str(SUBMITTED_AT)


def test_a_failed_or_running_task_has_no_outputs() -> None:
    """A failure that brings outputs would be another shape than the vendor's."""
    task = make_task()
    for phase in (task.ended(FAILED), task.at(2.0)):
        body = result(task, phase, SUBMITTED_AT)
        assert (body["images"], body["videos"]) == ([], [])


def test_as_many_images_as_were_asked_for() -> None:
    """Several outputs of one task would never be seen, or all under one name."""
    task = make_task(outputs=3)
    images = result(task, task.at(9.0), SUBMITTED_AT)["images"]
    assert len({image["image_url"] for image in images}) == 3


def test_the_same_task_at_the_same_time_has_the_same_body() -> None:
    """A repeated delivery would look like a contradiction of the first."""
    first, second = (list(bodies("txt2img")) for _ in range(2))
    assert first == second


def test_a_signature_dates_the_url_and_leaves_the_object() -> None:
    """A re-signed URL would be another object, or carry no time of expiry."""
    s3 = sign("https://out.example/1.png", "s3", 1_700_000_000_000)
    assert s3.startswith("https://out.example/1.png?")
    assert "X-Amz-Date=20231114T221320Z&X-Amz-Expires=3600" in s3
    assert s3 != sign("https://out.example/1.png", "s3", 1_700_000_001_000)
    cos = sign("https://out.example/2.mp4", "cos", 1_700_000_000_000)
    assert "q-sign-time=1700000000%3B1700003600" in cos
    assert sign("https://out.example/3.png", "plain", 1) == "https://out.example/3.png"


def test_the_envelope_is_the_documented_one() -> None:
    """Receivers that filter on ``event_type`` would drop everything."""
    assert envelope({"task": {}}) == {"event_type": "ASYNC_TASK_RESULT", "payload": {"task": {}}}


def test_a_style_depends_on_its_seed_alone() -> None:
    """Bodies about one task would change their shape between a webhook and a poll."""
    assert style_of(7, "video") == style_of(7, "video")
