"""The console script itself."""

from __future__ import annotations

import subprocess
import sys

SLOW = "relay.settings relay.app relay.simulator aiohttp aiokafka redis rich.console orjson structlog".split()
NEEDLESS = {"aiokafka", "redis", "opentelemetry", "relay.contract", "rich"}
"""Clients of what a relay may not have, the documents that few ask for, and frames and colours for its log."""


def test_the_version_loads_nothing_that_it_does_not_need() -> None:
    """Every command, and every completion in a shell, would take a second to begin."""
    program = (
        "import sys; sys.argv = ['relay', 'version']\n"
        "from relay.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code in (0, None)\n"
        f"loaded = [name for name in {SLOW!r} if name in sys.modules]\n"
        "assert not loaded, loaded"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("relay ")


def test_a_relay_loads_nothing_that_it_was_not_given() -> None:
    """Each start of a relay, and each command that reads its configuration, would take a third longer."""
    program = (
        "import sys, relay.app.process\n"
        "from relay.app.plugins import sink_configs\n"
        "assert {'kafka', 'redis'} <= set(sink_configs())\n"
        f"loaded = {NEEDLESS!r} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
