"""``python -m tests.fuzz [--seconds N] [TARGET...]``: fuzzes each target for so long; exit code 1 where one fails.

What was found of the way through the code is kept in ``.cache/fuzz`` and gone on from next time. An input that shows a
fault is written there, too: fix the fault, and keep the input in ``tests/fuzz/finds/TARGET/``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "fuzz"
NAMES = ("wire", "sse", "apis", "json_scan", "settings", "journal")
_LONGEST_RUN = 20  # seconds for one input: more is a hang
_MOST_MEMORY = 1024  # MiB


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the parsers.")
    parser.add_argument("--seconds", type=int, default=600, help="for each target (default: 600)")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"some of {', '.join(NAMES)} (default: all)")
    asked = parser.parse_args()
    if unknown := set(asked.targets) - set(NAMES):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    failed = [name for name in asked.targets or NAMES if not fuzzed(name, asked.seconds)]
    print(f"failed: {', '.join(failed)}" if failed else "no fault found")
    return 1 if failed else 0


def fuzzed(name: str, seconds: int) -> bool:
    """Whether no fault showed. Each target has a process of its own: libFuzzer ends its process."""
    corpus, found = CACHE / name / "corpus", CACHE / name / "found"
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    print(f"== {name}: {seconds} s", flush=True)
    limits = (f"-max_total_time={seconds}", f"-timeout={_LONGEST_RUN}", f"-rss_limit_mb={_MOST_MEMORY}")
    options = (*limits, f"-artifact_prefix={found}/", "-print_final_stats=1", "-verbosity=0")
    return subprocess.run([sys.executable, "-m", "tests.fuzz.engine", name, str(corpus), *options]).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
