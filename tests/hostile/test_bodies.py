"""Bodies made to cost: each route takes them, answers, and has spent little."""

from __future__ import annotations

import json

import pytest

from tests.hostile.stage import WEBHOOK, Stage
from tests.services.raw_http import post, wire

SIZE = 16 << 20
SHAPES = {
    "brackets": b'{"messages":[%b[]]}' % (b"[]," * (SIZE // 3)),
    "depth": b'{"messages":%b' % (b"[" * SIZE),
    "objects": b'{"messages":[%b{}]}' % (b"{}," * (SIZE // 3)),
    "keys": b'{%b"b":1}' % (b'"a":1,' * (SIZE // 6)),
    "numbers": b'{"messages":[%b1]}' % (b"1," * (SIZE // 2)),
    "quotes": b'{"messages":"%b"}' % (b'\\"' * (SIZE // 2)),
    "backslashes": b'{"messages":"%b"}' % (b"\\" * SIZE),
    "spaces": b'{"messages":%b[]}' % (b" " * SIZE),
    "no JSON": b"\xff" * SIZE,
}
ROUTES = [
    ("/openai/v1/chat/completions", 200),
    ("/openai/v1/embeddings", 200),
    ("/v3/async/txt2img", 200),
    ("/v3/video/create", 200),
    (WEBHOOK, 413),
    ("/v1/tasks", 413),
]


@pytest.mark.parametrize("shape", SHAPES)
async def test_what_a_parser_would_choke_on(stage: Stage, shape: str) -> None:
    """The relay would take thirty times the size of a body, and stand still for seconds."""
    for path, status in ROUTES:
        async with stage.case(mib=5 * SIZE / 2**20, cpu=4, loop=250), wire(stage.url) as connection:
            await connection.send(post(path, SHAPES[shape]))
            assert (await connection.answer()).status == status, path


async def test_the_largest_body_of_all(stage: Stage) -> None:
    """62 MiB of brackets as a chat took 2,169 MB, and 10 s of everybody's time."""
    body = b'{"model":"m","messages":[%b[]]}' % (b"[]," * ((62 << 20) // 3))
    async with stage.case(mib=4 * 62, cpu=6, loop=250), wire(stage.url) as connection:
        await connection.send(post("/openai/v1/chat/completions", body))
        assert (await connection.answer()).status == 200


IMAGE = "data:image/png;base64," + "iVBORw0K" * (6 << 20)
"""48 MiB: under the 64 MiB of ``proxy.max_body``."""
WITH_IMAGES = {
    "/openai/v1/chat/completions": ("messages", {"type": "image_url", "image_url": {"url": IMAGE}}),
    "/openai/v1/responses": ("input", {"type": "input_image", "image_url": IMAGE}),
    "/anthropic/v1/messages": (
        "messages",
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}},
    ),
}


@pytest.mark.parametrize("path", WITH_IMAGES)
async def test_a_large_image_costs_its_own_size(stage: Stage, path: str) -> None:
    """A photo in a request would take its size several times over, or stop everybody while it is read."""
    said, part = WITH_IMAGES[path]
    body = json.dumps({"model": "m", "max_tokens": 9, said: [{"role": "user", "content": [part]}]}).encode()
    async with stage.case(mib=1.5 * len(body) / 2**20, cpu=3, loop=250), wire(stage.url) as connection:
        await connection.send(post(path, body))
        assert (await connection.answer()).status == 200
