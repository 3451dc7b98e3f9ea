"""Programs that are run while the traffic goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping


async def run(
    *command: str, stdin: str = "", timeout: float = 60, check: bool = True, env: Mapping[str, str] | None = None
) -> str:
    """What a command prints. Raises ``RuntimeError`` with all it said where it fails, ``TimeoutError``."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe, env=env)
    try:
        async with asyncio.timeout(timeout):
            out, err = await process.communicate(stdin.encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        raise TimeoutError(f"not within {timeout:.0f} s: {' '.join(command)}") from None
    if check and process.returncode:
        raise RuntimeError(f"{' '.join(command)}: {err.decode()[-3000:]}{out.decode()[-1000:]}")
    return out.decode()
