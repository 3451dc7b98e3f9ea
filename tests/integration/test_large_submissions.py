"""Images of tens of megabytes in a submission: through a relay as it runs, and no more of it in memory than once."""

from __future__ import annotations

import asyncio
import io
import re
from pathlib import Path

import aiohttp

from tests.services.relay import RelayProcess
from tests.services.scripted_upstream import answering, ok, scripted

SIZE = 48 << 20


def peak(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024


async def test_a_large_body_is_in_memory_once(tmp_path: Path) -> None:
    """A few clients with images would be the end of a relay that has memory for one of them."""
    image = b"QUJD" * (SIZE >> 2)
    body = b'{"request":{"image_base64":"' + image + b'","prompt":"a kite"}}'
    async with scripted(answering(ok(b'{"task_id":"t1"}'))) as upstream:
        relay = RelayProcess(tmp_path / "relay", public=True, upstream={"base_url": upstream.url})
        await relay.start()
        try:
            before = await asyncio.to_thread(peak, relay.pid)
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"{relay.url}/v3/async/img2img", data=io.BytesIO(body)) as response,
            ):
                assert (response.status, await response.read()) == (200, b'{"task_id":"t1"}')
            grown = await asyncio.to_thread(peak, relay.pid) - before
        finally:
            relay.kill()
    (call,) = upstream.calls
    added = rb'{"extra":{"webhook":{"url":"%b/webhooks/novita/[\w.-]+"}},' % re.escape(relay.url).encode()
    assert re.sub(b"^" + added, b"{", call.body, count=1) == body
    assert grown < SIZE * 1.6, f"{grown / SIZE:.2f} times the body"
    print(f"{grown / SIZE:.2f} times the body")
