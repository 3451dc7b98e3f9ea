"""Endpoints that answer at once, each in a shape of its own (vendor: the per-endpoint pages). No webhook follows."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from relay.simulator.tasks.results import sign

Json = dict[str, Any]
Shape = Callable[[Random, int, str], Json]
"""An answer by its random numbers, the time in epoch milliseconds, and the address under which outputs are."""

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A PNG of one pixel: what every endpoint that answers with a file answers with."""


def shape_of(path: str) -> Shape | None:
    """How this path answers, ``None`` if it is not known to answer at once."""
    exact = _SHAPES.get(path)
    if exact is not None:
        return exact
    return next((shape for prefix, shape in _PREFIXES if path.startswith(prefix)), None)


def object_name(rng: Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _flux(rng: Random, _: int, place: str) -> Json:
    name = object_name(rng)
    image = {"image_url": f"{place}/{name}.png", "image_url_ttl": 604800, "image_type": "png"}
    return {"images": [image], "task": {"task_id": name}}


def _seedream_3(rng: Random, now: int, place: str) -> Json:
    return {"image_urls": [_signed_image(rng, now, place)], "binary_data_base64": []}


def _seedream(rng: Random, now: int, place: str) -> Json:
    return {"images": [_signed_image(rng, now, place)]}


def _image_file(_: Random, __: int, ___: str) -> Json:
    return {"image_file": base64.b64encode(PIXEL).decode(), "image_type": "png"}


def _prompt(_: Random, __: int, ___: str) -> Json:
    return {"prompt": "a kite over the sea"}


def _speech(rng: Random, _: int, __: str) -> Json:
    return {"audio": rng.randbytes(16).hex()}


def _hosted_video(rng: Random, now: int, place: str) -> Json:
    return {"video": {"video_url": sign(f"{place}/{object_name(rng)}.mp4", "s3", now), "video_type": "mp4"}}


def _signed_image(rng: Random, now: int, place: str) -> str:
    return sign(f"{place}/{object_name(rng)}.jpeg", "s3", now)


_FILES = ("remove-background", "replace-background", "cleanup", "reimagine", "remove-text", "merge-face", "outpainting")

_SHAPES: Mapping[str, Shape] = {
    "/v3/seedream-3-0-txt2img": _seedream_3,
    "/v3/img2prompt": _prompt,
    **{f"/v3/{name}": _image_file for name in _FILES},
}

_PREFIXES: tuple[tuple[str, Shape], ...] = (
    ("/v3beta/flux-", _flux),
    ("/v3/seedream-", _seedream),
    ("/v3/minimax-speech-", _speech),
    ("/v3/hf/", _hosted_video),
)
