"""The files behind the links of outputs, for as long as the link is valid.

A small sample of each format, made as large as its task asks for. A signature lasts an hour, and is then refused as S3
refuses it; who signed it is not looked at.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Final

from aiohttp import web

from relay.simulator.tasks.faults import Fate
from relay.simulator.tasks.ledger import Ledger

PATH: Final = "/_simulator/outputs"

_BLOCK: Final = 1 << 16
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


def routes(ledger: Ledger) -> list[web.RouteDef]:
    """``ledger`` says what the tasks ask for their outputs."""

    async def output(request: web.Request) -> web.StreamResponse:
        return await _output(request, ledger)

    return [web.get(PATH + "/{name}", output)]


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


def content(name: str, size: int) -> Iterator[bytes]:
    """The bytes of an output: the sample of its format, and what fills it up, which differs from name to name.

    ``size`` 0: the sample itself. Raises ``KeyError`` for a format that there is not.
    """
    file, _ = _SAMPLES[name.rpartition(".")[2]]
    sample = (_FOLDER / file).read_bytes()
    yield sample[: size or None]
    filling = Random(name).randbytes(_BLOCK)  # noqa: S311 - variety, not secrecy
    left = size - len(sample)
    while left > 0:
        yield filling[:left]
        left -= _BLOCK


async def _output(request: web.Request, ledger: Ledger) -> web.StreamResponse:
    name = request.match_info["name"]
    sample = _SAMPLES.get(name.rpartition(".")[2])
    if sample is None:
        return _refused(404, "NoSuchKey", "The specified key does not exist.")
    try:
        end = expires_at(request.query)
    except (ValueError, KeyError):
        return _refused(400, "AuthorizationQueryParametersError", "X-Amz-Date and X-Amz-Expires are not well-formed.")
    if end is not None and end <= time.time():
        return _refused(403, "AccessDenied", "Request has expired")
    record = ledger.find(name.rpartition("-")[0].removesuffix("-other"))
    fate, number = Fate(), 0
    if record is not None:
        fate, number = record.task.fate, record.downloads[name]
        record.downloads[name] += 1
    return await _sent(request, name, fate.output_size, number if number < fate.output_broken else None)


async def _sent(request: web.Request, name: str, size: int, broken: int | None) -> web.StreamResponse:
    """Sends an output; ``broken`` counts the requests that fail, from 0."""
    if broken is not None and broken % 3 == 0:
        return _refused(503, "SlowDown", "Please reduce your request rate.")
    file, media_type = _SAMPLES[name.rpartition(".")[2]]
    size = size or (_FOLDER / file).stat().st_size
    response = web.StreamResponse(headers={"Content-Type": media_type, "Content-Length": str(size)})
    await response.prepare(request)
    sent = 0
    for block in content(name, size):
        if broken is not None and sent + len(block) > size // 2:
            await response.write(block[: len(block) // 2])
            _end(request, abruptly=broken % 3 == 1)
            break
        await response.write(block)
        sent += len(block)
    return response


def _end(request: web.Request, *, abruptly: bool) -> None:
    """Ends the connection in the middle of an answer."""
    assert request.transport is not None
    if abruptly:
        request.transport.abort()
    else:
        request.transport.close()


def _refused(status: int, code: str, message: str) -> web.Response:
    return web.Response(status=status, text=_REFUSED.format(code, message), content_type="application/xml")
