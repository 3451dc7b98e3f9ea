"""The console script itself."""

from __future__ import annotations

import subprocess
import sys

SLOW = "relay.settings relay.app relay.simulator aiohttp aiokafka redis rich.console orjson structlog".split()


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
