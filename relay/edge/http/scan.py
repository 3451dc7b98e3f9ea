"""Reading in large bodies beside the event loop, which goes on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, Final, ParamSpec, TypeVar

from relay.core.json_scan import Body

QUICK: Final = 16 << 10
"""Bytes that are read at once, whatever they are: within a few milliseconds, and faster than another thread is."""

_THREAD: Final = ThreadPoolExecutor(1, thread_name_prefix="scan")

P = ParamSpec("P")
T = TypeVar("T")


async def scanned(read: Callable[Concatenate[Body, P], T], body: Body, *args: P.args, **kwargs: P.kwargs) -> T:
    """``read(body, ...)``, which must be pure and bounded, such as a walk (``relay.core.json_scan``)."""
    if len(body) <= QUICK:
        return read(body, *args, **kwargs)
    work = asyncio.get_running_loop().run_in_executor(_THREAD, lambda: read(body, *args, **kwargs))
    return await work
