from __future__ import annotations

from typing import Any

import pytest

from relay.simulator.requests import InvalidSubmission
from relay.simulator.tasks.submission import read

HOOK = {"url": "https://relay.example/h"}


def test_nested_and_flat_bodies_are_read_alike() -> None:
    """Half of the endpoints would lose their prompt."""
    body = {"extra": {"webhook": HOOK}, "request": {"prompt": "kite", "image_num": 2}}
    nested = read("/v3/async/txt2img", body, None)
    flat = read("/v3/async/kling-v2.1-t2v-master", {"prompt": "kite", "duration": "5"}, None)
    spoken = read("/v3/async/minimax-speech-02-hd", {"text": "kite"}, None)
    assert [nested.prompt, flat.prompt, spoken.prompt] == ["kite"] * 3
    assert (nested.outputs, nested.url, nested.webhook) == (2, HOOK["url"], HOOK)
    assert (flat.url, flat.endpoint.kind, spoken.format) == (None, "video", "wav")


def test_the_requested_format_is_honoured() -> None:
    """Outputs would always be of the default type."""
    asked = read("/v3/async/img2video", {"extra": {"response_video_type": "gif"}}, None)
    assert (asked.format, read("/v3/async/img2video", {}, None).format) == ("gif", "mp4")


def test_the_unified_video_api_names_its_model_and_its_callback() -> None:
    """Tasks of the unified API would never be reported."""
    body = {"model": "minimax/hailuo-02", "prompt": "kite", "callback": "https://relay.example/cb"}
    asked = read("/v3/video/create", body, None)
    assert (asked.url, asked.endpoint.kind) == ("https://relay.example/cb", "video")
    assert asked.endpoint.task_type == "HAILUO_02_6S_768P"
    assert read("/v3/async/txt2video", body, None).url is None


def test_the_default_webhook_is_for_those_who_name_none() -> None:
    """Endpoints without a webhook field could not be tried with one."""
    default = "https://relay.example/default"
    assert read("/v3/async/upscale", {}, default).url == default
    assert read("/v3/async/upscale", {"extra": {"webhook": HOOK}}, default).url == HOOK["url"]


@pytest.mark.parametrize(
    "test_mode", [{"enabled": True}, {"return_task_status": "TASK_STATUS_SUCCEED"}, {"enabled": 1, "x": 2}]
)
def test_test_mode_needs_both_of_its_keys(test_mode: dict[str, Any]) -> None:
    """A submission that the vendor refuses would be taken."""
    with pytest.raises(InvalidSubmission, match="is required"):
        read("/v3/async/txt2img", {"extra": {"webhook": HOOK | {"test_mode": test_mode}}}, None)


def test_test_mode_asks_for_its_status_only_while_enabled() -> None:
    """A real generation would be mocked, or the other way round."""
    on = {"enabled": True, "return_task_status": "TASK_STATUS_FAILED"}
    asked = [
        read("/v3/async/txt2img", {"extra": {"webhook": HOOK | {"test_mode": mode}}}, None).mock
        for mode in (on, on | {"enabled": False})
    ]
    assert asked == ["TASK_STATUS_FAILED", None]


@pytest.mark.parametrize(
    "body",
    [
        {"extra": []},
        {"request": "x"},
        {"extra": {"webhook": "https://relay.example"}},
        {"extra": {"webhook": {"url": "relay.example"}}},
        {"request": {"image_num": 9}},
        {"request": {"image_num": "2"}},
    ],
)
def test_a_body_of_the_wrong_shape_is_refused(body: dict[str, Any]) -> None:
    """A mistake in a client would go through the simulator and fail at the vendor."""
    with pytest.raises(InvalidSubmission):
        read("/v3/async/txt2img", body, None)
