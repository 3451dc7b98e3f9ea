"""Which endpoint produces what, and the ``task_type`` of its tasks.

The list of endpoints is open, and so is ``task_type``: an unknown name is classified by its words, and its type is
derived from it. Vendor: the per-endpoint pages; suffixed types were observed on a sister platform.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["image", "video", "audio"]
Signing = Literal["s3", "cos", "plain"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``name`` is the last part of the path, or the model of the unified video API."""

    name: str
    kind: Kind
    task_type: str


TASK_TYPES: Mapping[str, str] = {
    "txt2img": "TXT_TO_IMG",
    "img2img": "IMG_TO_IMG",
    "upscale": "UPSCALE",
    "inpainting": "INPAINTING",
    "remove-background": "REMOVE_BACKGROUND",
    "replace-background": "REPLACE_BACKGROUND",
    "txt2video": "TXT_TO_VIDEO",
    "img2video": "IMG_TO_VIDEO",
    "hunyuan-video-fast": "HUNYUAN_VIDEO_FAST",
    "kling-v1.6-i2v": "KLING_V16_I2V_STANDARD",
    "wan-t2v": "WAN_TXT_TO_VIDEO",
    "wan-i2v": "WAN_IMG_TO_VIDEO",
    "qwen-image-txt2img": "QWEN_IMAGE_TEXT_TO_IMAGE",
    "qwen-image-edit": "QWEN_IMAGE_EDIT",
}

_AUDIO = re.compile(r"speech|music|audio|voice|tts")
_VIDEO = re.compile(r"video|hailuo|kling|vidu|seedance|(?:^|-)wan|[ti]2v|merge-face")


def endpoint(name: str, body: Mapping[str, Any]) -> Endpoint:
    """What an asynchronous endpoint of this name makes of this submission."""
    return Endpoint(name, kind_of(name), _task_type(name, body))


def kind_of(name: str) -> Kind:
    if _AUDIO.search(name):
        return "audio"
    return "video" if _VIDEO.search(name) else "image"


def signing_of(name: str) -> Signing:
    """How the URLs of this endpoint's outputs are signed: S3 as documented, COS as observed, or not at all."""
    if name.startswith("qwen-image"):
        return "plain"
    return "cos" if "hailuo" in name else "s3"


def _task_type(name: str, body: Mapping[str, Any]) -> str:
    derived = TASK_TYPES.get(name) or re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")
    if "hailuo" in name:
        return f"{derived}_{body.get('duration', 6)}S_{str(body.get('resolution', '768P')).upper()}"
    return derived
