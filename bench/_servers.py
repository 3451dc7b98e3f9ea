"""The servers that ``bench/webhooks.py`` compares, each pinned to one core before it imports anything heavy.

``python -m bench._servers bare PORT`` is the reference: an aiohttp handler that reads the body and answers.
``python -m bench._servers relay CONFIG`` is ``relay serve`` on the same core and the same event loop.
"""

from __future__ import annotations

import asyncio
import os
import sys

SERVER_CORE = 0


async def bare(port: int) -> None:
    """Reads the body, answers 200, keeps nothing."""
    from aiohttp import web

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_post("/webhooks/novita/{token}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


def main() -> None:
    """Pins, then serves."""
    os.sched_setaffinity(0, {SERVER_CORE})
    kind, argument = sys.argv[1:3]
    if kind == "bare":
        import uvloop

        uvloop.run(bare(int(argument)))
    else:
        from relay.cli import main as relay

        sys.argv = ["relay", "serve", "--config", argument]
        relay()


if __name__ == "__main__":
    main()
