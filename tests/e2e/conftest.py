"""The browser of a module's tests, and its tabs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.e2e.console_stage import Visit, chromium, visit

Visits = Callable[..., Awaitable[Visit]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def visits(browser: Browser) -> AsyncIterator[Visits]:
    """Opens tabs; all are closed when the test ends."""
    async with AsyncExitStack() as stack:

        async def opened(url: str, **context: Any) -> Visit:
            return await stack.enter_async_context(visit(browser, url, **context))

        yield opened


@pytest.fixture(scope="module")
def module_path(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder for what a module's tests share."""
    return tmp_path_factory.mktemp("stage")
