"""``python -m tests.fuzz.engine TARGET CORPUS [libFuzzer's options]``: one target under atheris."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["relay"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    name, corpus, *options = sys.argv[1:]
    target = TARGETS[name]
    for seed in target.seeds():
        Path(corpus, hashlib.sha256(seed).hexdigest()[:32]).write_bytes(seed[: target.longest])
    atheris.Setup([sys.argv[0], *options, f"-max_len={target.longest}", corpus], target.holds)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
