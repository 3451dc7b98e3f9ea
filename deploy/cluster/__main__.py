"""``make check-cluster``: two real nodes, the image, the chart with each sink, and what happens to relays in a cluster.

Under a steady load it rolls out, deletes, drains, scales and so on, and compares what was acknowledged with what is on
the sink, read by redis-cli and kcat. Prints a table; the exit code is 0 if nothing was lost or repeated and the cluster
did what an operator expects. Root, Linux, about 2 GB of memory and 25 minutes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from deploy.cluster import isolation
from deploy.cluster.brokers import BROKERS
from deploy.cluster.images import archives, before, commit_of
from deploy.cluster.nodes import groups_of
from deploy.cluster.scenarios import SCENARIOS
from tests.setup.kubernetes import FOLDER, PROGRAMS

LOGS = FOLDER / "logs"


def main() -> int:
    """The exit code."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    images = archives(FOLDER / "images", PROGRAMS)
    earlier: list[str] = []
    if arguments.before:
        archive, chart = before(FOLDER / "images", commit_of(arguments.before))
        images, earlier = [*images, archive], ["--before", str(chart)]
    print(f"the images are ready after {time.monotonic() - started:.0f} s", flush=True)
    home, group = Path(tempfile.mkdtemp(prefix="relay-cluster-")), f"relay-cluster-{os.getpid()}"
    command = [sys.executable, "-m", "deploy.cluster.inside", "--home", str(home), "--group", group]
    command += ["--programs", str(PROGRAMS), "--images", *map(str, images)]
    command += ["--sinks", *arguments.sink, "--scenarios", *arguments.scenario, *earlier]
    try:
        return isolation.run(command, groups_of(group))
    finally:
        _keep_logs(home)
        shutil.rmtree(home)


def _keep_logs(home: Path) -> None:
    """Those of the last run, to look at."""
    shutil.rmtree(LOGS, ignore_errors=True)
    if (home / "logs").exists():
        shutil.copytree(home / "logs", LOGS)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make check-cluster ARGS=", description="The chart on a real cluster.")
    parser.add_argument("--sink", nargs="+", choices=BROKERS, default=[*BROKERS], help="all, if none is named")
    parser.add_argument("--scenario", nargs="*", choices=SCENARIOS, default=[*SCENARIOS], help="all, if none is named")
    parser.add_argument("--before", metavar="COMMIT", help="also upgrade from this commit's image and chart, and back")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
