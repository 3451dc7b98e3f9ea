"""The files behind the links of outputs: a small sample of each format, for as long as the link is valid.

A signature lasts an hour, and is then refused as S3 refuses it; who signed it is not looked at.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from aiohttp import web

PATH: Final = "/_simulator/outputs"

_FOLDER: Final = Path(__file__).with_name("samples")
_SAMPLES: Final[Mapping[str, tuple[str, str]]] = {
    "png": ("picture.png", "image/png"),
    "jpeg": ("picture.jpeg", "image/jpeg"),
    "jpg": ("picture.jpeg", "image/jpeg"),
    "webp": ("picture.webp", "image/webp"),
    "mp4": ("clip.mp4", "video/mp4"),
    "wav": ("sound.wav", "audio/wav"),
    "mp3": ("sound.mp3", "audio/mpeg"),
}
_REFUSED: Final = "<Error><Code>{}</Code><Message>{}</Message></Error>"


def routes() -> list[web.RouteDef]:
    return [web.get(PATH + "/{name}", _output)]


def place_of(request: web.Request) -> str:
    """Where the outputs are for the sender of this request: under the name by which it reached the simulator."""
    return f"{request.scheme}://{request.host}{PATH}"


def expires_at(query: Mapping[str, str]) -> float | None:
    """When a signature ends, in epoch seconds, by S3's parameters or COS's; ``None``: nothing is signed."""
    if "X-Amz-Date" in query:
        signed = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return signed.timestamp() + int(query["X-Amz-Expires"])
    window = re.fullmatch(r"\d+;(\d+)", query.get("q-sign-time", ""))
    return float(window[1]) if window else None


async def _output(request: web.Request) -> web.StreamResponse:
    sample = _SAMPLES.get(request.match_info["name"].rpartition(".")[2])
    if sample is None:
        return _refused(404, "NoSuchKey", "The specified key does not exist.")
    try:
        end = expires_at(request.query)
    except (ValueError, KeyError):
        return _refused(400, "AuthorizationQueryParametersError", "X-Amz-Date and X-Amz-Expires are not well-formed.")
    if end is not None and end <= time.time():
        return _refused(403, "AccessDenied", "Request has expired")
    file, media_type = sample
    return web.FileResponse(_FOLDER / file, headers={"Content-Type": media_type})


def _refused(status: int, code: str, message: str) -> web.Response:
    return web.Response(status=status, text=_REFUSED.format(code, message), content_type="application/xml")
