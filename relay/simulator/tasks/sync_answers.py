"""Endpoints that answer at once, each in its own format (vendor: the per-endpoint pages). No webhook follows."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from random import Random

from relay.simulator.requests import Json
from relay.simulator.tasks.results import sign

Shape = Callable[[Random, int, str], Json]
"""An answer by its random numbers, the time in epoch milliseconds, and the address under which outputs are."""

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A PNG of one pixel: what every endpoint that answers with a file answers with."""


def shape_of(path: str) -> Shape | None:
    """How this path answers, ``None`` if it is not known to answer at once."""
    return next((shape for pattern, shape in _SHAPES.items() if fnmatchcase(path, pattern)), None)


def object_name(rng: Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _flux(rng: Random, _: int, place: str) -> Json:
    name = object_name(rng)
    image = {"image_url": f"{place}/{name}.png", "image_url_ttl": 604800, "image_type": "png"}
    return {"images": [image], "task": {"task_id": name}}


def _signed(rng: Random, now: int, place: str, extension: str = "jpeg") -> str:
    return sign(f"{place}/{object_name(rng)}.{extension}", "s3", now)


_FILES = ("remove-background", "replace-background", "cleanup", "reimagine", "remove-text", "merge-face", "outpainting")

_SHAPES: Mapping[str, Shape] = {
    "/v3/seedream-3-0-txt2img": lambda *made: {"image_urls": [_signed(*made)], "binary_data_base64": []},
    "/v3/seedream-*": lambda *made: {"images": [_signed(*made)]},
    "/v3/img2prompt": lambda *_: {"prompt": "a kite over the sea"},
    **{
        f"/v3/{name}": lambda *_: {"image_file": base64.b64encode(PIXEL).decode(), "image_type": "png"}
        for name in _FILES
    },
    "/v3beta/flux-*": _flux,
    "/v3/minimax-speech-*": lambda rng, *_: {"audio": rng.randbytes(16).hex()},
    "/v3/hf/*": lambda rng, now, place: {"video": {"video_url": _signed(rng, now, place, "mp4"), "video_type": "mp4"}},
}
"""The shapes by the pattern of the path; the first that fits counts."""
