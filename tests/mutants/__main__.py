"""``python -m tests.mutants``: plants a sample of mistakes and reports which no test notices.

Where no paths are named, the known ones (``known.py``) are planted as well.
"""

from __future__ import annotations

import argparse
import ast
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from tests.mutants.known import unnoticed
from tests.mutants.mutations import Mutant, mutants_of
from tests.mutants.reach import DATA, Reach
from tests.mutants.trial import Copy, Verdict

ROOT: Final = Path(__file__).resolve().parents[2]
PLACES: Final = (
    "relay/core", "relay/journal", "relay/sinks", "relay/edge", "relay/upstream", "relay/publishing",
    "relay/reconciler",
)  # fmt: skip
"""The paths of the promises."""

TESTS: Final = (
    "tests/unit", "tests/contract/test_sinks.py", "tests/integration/test_kafka_sink.py",
    "tests/integration/test_kafka_brokers.py", "tests/integration/test_kafka_parts.py",
    "tests/integration/test_kafka_refusals.py", "tests/integration/test_redis_sink.py",
    "tests/integration/test_redis_rights.py", "tests/integration/test_redis_replicas.py",
    "tests/integration/test_redis_topologies.py", "tests/integration/test_shared_index.py",
)  # fmt: skip
"""What is run once to learn which test runs which line (``--tests``: something else)."""

SCRIPTS: Final = {
    "places.lua": (),
    "shared_index.lua": ("tests/integration/test_shared_index.py",),
    "sink.lua": (
        "tests/integration/test_redis_sink.py", "tests/integration/test_redis_replicas.py",
        "tests/integration/test_redis_rights.py",
    ),
}  # fmt: skip
"""Which tests run most of a script: no coverage says so. The conformance suite follows them."""

MOST_TESTS: Final = 400
"""Tests against one mistake: the nearest ones. A line that more run is in everybody's way and is noticed at once."""

EXPLAINED: Final = Path(__file__).with_name("explained.txt")


@dataclass(frozen=True, slots=True)
class Trial:
    """One mistake and its result."""

    path: str
    mutant: Mutant
    verdict: Verdict | None

    def __str__(self) -> str:
        place = f"{self.path} {self.mutant.where}".strip()
        return f"{place}: {self.mutant.before} => {self.mutant.after}"


def explanations() -> dict[str, str]:
    """The mistakes that no test can notice, as ``Trial`` writes them, each with the reason."""
    lines = [line.partition("  # ") for line in EXPLAINED.read_text().splitlines() if "  # " in line]
    return {mistake.strip(): reason for mistake, _, reason in lines}


def main() -> int:
    options = _options()
    mutants = [
        (path, each)
        for path in files(options.paths)
        for each in mutants_of((ROOT / path).read_text(), path[path.rindex(".") :])
    ]
    chosen = random.Random(options.seed).sample(mutants, min(options.sample, len(mutants)))
    print(f"{len(chosen)} of {len(mutants)} mistakes, seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="relay-mutants-") as scratch:
        copies = [Copy(ROOT, Path(scratch, str(number))) for number in range(options.workers)]
        reach = _reach(copies[0], options.tests, Path(options.reach) if options.reach else Path(scratch, "reach"))
        trials = _run(chosen, reach, copies)
        missed = unnoticed(ROOT, copies[0]) if tuple(options.paths) == PLACES else []
    for known in missed:
        print(f"a known mistake is not noticed: {known}")
    return max(_report(trials, options.least), bool(missed))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "paths", nargs="*", default=PLACES, help="files and folders of relay/ (default: the paths of the promises)"
    )
    parser.add_argument("--sample", type=int, default=300, help="how many mistakes, drawn at random (default: 300)")
    parser.add_argument("--seed", type=int, default=1, help="draws another sample (default: 1)")
    parser.add_argument("--workers", type=int, default=2, help="tests run side by side (default: 2)")
    parser.add_argument(
        "--least", type=float, default=0.9, help="exit 1 below this share of noticed or explained (default: 0.9)"
    )
    parser.add_argument(
        "--tests",
        nargs="+",
        default=TESTS,
        metavar="TEST",
        help="run these only, say of one part (default: what reaches PLACES)",
    )
    parser.add_argument("--reach", metavar="FILE", help="keeps which tests reach which lines, for the next run")
    return parser.parse_args()


def files(paths: Sequence[str]) -> list[str]:
    """The files below these paths in which mistakes are planted. Raises ``SystemExit`` where one of them is gone."""
    command = ["git", "ls-files", "--error-unmatch", *paths]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        raise SystemExit(listed.stderr)
    return [name for name in listed.stdout.split() if name.endswith((".py", ".sql", ".lua"))]


def _reach(copy: Copy, tests: Sequence[str], data_file: Path) -> Reach:
    if not data_file.exists():
        started = time.monotonic()
        with tempfile.TemporaryFile("w+") as said:
            extra = {DATA: str(data_file.resolve())}
            code = copy.pytest("-p", "tests.mutants.reach", *tests, limit=3600, extra=extra, output=said.fileno())
            said.seek(0)
            print("".join(line for line in said if line.startswith(("FAILED", "ERROR"))), end="")
        print(f"which tests run which line: {time.monotonic() - started:.0f} s, pytest's exit code {code}", flush=True)
        if code not in (0, 1):  # 1: a test failed, as one that measures may under coverage; what it ran is known
            raise SystemExit("pytest did not run, so nothing is known of which test runs which line")
        data_file.with_suffix(".root").write_text(str(copy.folder))
    return Reach(data_file, Path(data_file.with_suffix(".root").read_text()))


def _run(chosen: Sequence[tuple[str, Mutant]], reach: Reach, copies: Sequence[Copy]) -> list[Trial]:
    free: SimpleQueue[Copy] = SimpleQueue()
    for copy in copies:
        free.put(copy)
    done = 0

    def trial(path: str, mutant: Mutant) -> Trial:
        nonlocal done
        if path.endswith(".py"):
            ast.parse(mutant.source)  # one that does not parse would count as noticed
        tests = _tests_of(path, mutant, reach)
        copy = free.get()
        try:
            verdict = copy.try_out(path, mutant.source, tests) if tests else None
        finally:
            free.put(copy)
        done += 1
        if verdict not in ("killed", "timed out"):
            word = verdict or "not run by any test"
            print(f"[{done}/{len(chosen)}] {word}: {path}:{mutant.line}: {mutant.before} => {mutant.after}", flush=True)
        return Trial(path, mutant, verdict)

    with ThreadPoolExecutor(len(copies)) as pool:
        return list(pool.map(lambda each: trial(*each), chosen))


def _tests_of(path: str, mutant: Mutant, reach: Reach) -> list[str]:
    if path.endswith(".lua"):
        return [*SCRIPTS[Path(path).name], "tests/contract/test_sinks.py"]
    if path.endswith(".sql"):
        return ["tests/unit/journal"]
    return reach.tests_of(path, mutant.line)[:MOST_TESTS]


def _report(trials: Sequence[Trial], least: float) -> int:
    explained = explanations()
    counts: Counter[str] = Counter()
    by_place: dict[str, Counter[str]] = {}
    survivors = []
    for trial in trials:
        noticed = trial.verdict in ("killed", "timed out")
        word = "noticed" if noticed else "explained" if str(trial) in explained else "survived"
        counts[word] += 1
        by_place.setdefault("/".join(trial.path.split("/")[:2]), Counter())[word] += 1
        if word == "survived":
            survivors.append(trial)
    print()
    for place, found in [*sorted(by_place.items()), ("all", counts)]:
        share = (found["noticed"] + found["explained"]) / max(1, found.total())
        figures = "  ".join(f"{found[word]:4} {word}" for word in ("noticed", "explained", "survived"))
        print(f"{place:24} {figures}  {share:6.1%}")
    for trial in sorted(survivors, key=lambda trial: (trial.path, trial.mutant.line)):
        print(f"  line {trial.mutant.line} of {trial}")
    return 0 if share >= least else 1


if __name__ == "__main__":
    sys.exit(main())
