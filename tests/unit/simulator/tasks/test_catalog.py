from __future__ import annotations

import pytest

from relay.simulator.tasks.catalog import Kind, endpoint, kind_of, signing_of


@pytest.mark.parametrize(
    ("name", "kind", "task_type"),
    [
        ("txt2img", "image", "TXT_TO_IMG"),
        ("img2img", "image", "IMG_TO_IMG"),
        ("upscale", "image", "UPSCALE"),
        ("inpainting", "image", "INPAINTING"),
        ("replace-background", "image", "REPLACE_BACKGROUND"),
        ("qwen-image-txt2img", "image", "QWEN_IMAGE_TEXT_TO_IMAGE"),
        ("flux-1-kontext-dev", "image", "FLUX_1_KONTEXT_DEV"),
        ("hunyuan-image-3", "image", "HUNYUAN_IMAGE_3"),
        ("txt2video", "video", "TXT_TO_VIDEO"),
        ("img2video", "video", "IMG_TO_VIDEO"),
        ("hunyuan-video-fast", "video", "HUNYUAN_VIDEO_FAST"),
        ("kling-v2.1-t2v-master", "video", "KLING_V2_1_T2V_MASTER"),
        ("wan-t2v", "video", "WAN_TXT_TO_VIDEO"),
        ("minimax-video-01", "video", "MINIMAX_VIDEO_01"),
        ("minimax-hailuo-02", "video", "MINIMAX_HAILUO_02_6S_768P"),
        ("minimax-speech-02-hd", "audio", "MINIMAX_SPEECH_02_HD"),
        ("a-model-of-next-year", "image", "A_MODEL_OF_NEXT_YEAR"),
    ],
)
def test_each_endpoint_makes_its_kind_under_its_type(name: str, kind: Kind, task_type: str) -> None:
    """Outputs would come in the wrong array, or under a type that the vendor never sends."""
    made = endpoint(name, {})
    assert (made.kind, made.task_type) == (kind, task_type)


def test_the_suffix_of_a_type_follows_the_request() -> None:
    """Suffixed types, observed on the wire, would be one constant that a receiver could list."""
    assert endpoint("minimax-hailuo-02", {"duration": 10, "resolution": "1080p"}).task_type.endswith("_10S_1080P")


def test_kinds_and_signatures_differ_by_endpoint() -> None:
    """All three ways of signing a URL have to occur, since each has its own rule of expiry."""
    signings = [signing_of(name) for name in ("txt2img", "minimax-hailuo-02", "qwen-image-edit")]
    assert signings == ["s3", "cos", "plain"]
    assert kind_of("video-merge-face") == "video"
