"""The loop that commands run on. `relay serve` itself runs in tests/integration/test_cli.py."""

from __future__ import annotations

import asyncio

from relay.cli.serve import run_loop


def test_commands_run_on_uvloop() -> None:
    """The relay would run on a slower loop than the one that is measured."""

    async def name() -> str:
        return type(asyncio.get_running_loop()).__module__

    assert run_loop(name()).startswith("uvloop")
