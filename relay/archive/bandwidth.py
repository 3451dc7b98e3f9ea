"""How many bytes per second all outputs together may take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator


class Bandwidth:
    """``most``: bytes per second; ``None``: as many as come."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._next = 0.0

    async def paced(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same chunks, each when there is room for it. The network holds the rest back."""
        loop = asyncio.get_running_loop()
        async for chunk in chunks:
            if self._most is not None:
                now = loop.time()
                self._next = max(self._next, now) + len(chunk) / self._most
                if self._next > now:
                    await asyncio.sleep(self._next - now)
            yield chunk
