"""What of Kafka is the same for every broker, made once in ``.cache/kafka``; safe to call from several processes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.services.programs import executable
from tests.setup.cache import CACHE, locked, run_installer

VERSION = os.environ.get("RELAY_TEST_KAFKA_VERSION", "4.1.0")
_CACHE = (CACHE / "kafka").resolve()
"""Resolved, since an archive of classes holds only for jars at the very paths that it was made of."""
_POM = Path(__file__).parent / "maven" / "pom.xml"


@cache
def jars(version: str = VERSION) -> Path:
    """The folder with Kafka's jars, fetched by Maven the first time. Raises ``NotFetchedError``."""
    with _alone(version, "lock") as folder:
        complete = folder / "complete"
        if not complete.exists() or complete.read_bytes() != _POM.read_bytes():
            for archive in folder.glob("*.jsa"):  # of the jars as they were
                archive.unlink()
            goal = ["dependency:copy-dependencies", f"-DoutputDirectory={folder / 'jars'}"]
            run_installer(["mvn", "-q", "-B", "-f", str(_POM), f"-Dkafka.version={version}", *goal], folder)
            complete.write_bytes(_POM.read_bytes())
    return folder / "jars"


@cache
def java() -> tuple[str, str]:
    """The JVM: its path, and a name that changes with it."""
    path = Path(executable("java")).resolve()
    return str(path), f"{path.parents[1].name}-{path.stat().st_mtime_ns:x}"


def kept(version: str, name: str, make: Callable[[Path], None]) -> Path:
    """A file or folder beside a version's jars, which ``make`` puts at the path that it is given, the first time."""
    with _alone(version, f"{name}.lock") as folder:
        path, new = folder / name, folder / f"{name}.new"
        if not path.exists():
            shutil.rmtree(new, ignore_errors=True)  # of a run that was killed
            make(new)
            new.rename(path)
    return path


@contextmanager
def _alone(version: str, lock: str) -> Iterator[Path]:
    """A version's folder, while no other process has this lock of it."""
    folder = _CACHE / version
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / lock):
        yield folder
