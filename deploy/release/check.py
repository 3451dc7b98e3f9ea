"""Whether what is committed can be released: ``make release-check``.

With ``TAG=v0.1.0`` in the environment it has to be that version, and the changelog has to give it a date.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import yaml

from deploy.release.build import ROOT, build, check_out, sums
from deploy.release.materials import install

# What could creep into a build: the time zone, the order of sets, the language, and who may read new files.
SURROUNDINGS: Final = (
    ({"TZ": "UTC", "PYTHONHASHSEED": "1", "LC_ALL": "C"}, 0o022),
    ({"TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "2", "LC_ALL": "C.UTF-8"}, 0o077),
)


def version_of(root: Path) -> str:
    """The version that the package has."""
    found = re.search(r'^__version__ = "(.+)"$', (root / "relay/__init__.py").read_text("utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


def disagreements(root: Path, tag: str = "") -> Iterator[str]:
    """What does not fit the version of the package, for people. ``tag``: empty while nothing is tagged."""
    version = version_of(root)
    chart = yaml.safe_load((root / "deploy/helm/relay/Chart.yaml").read_text("utf-8"))
    for key in ("version", "appVersion"):
        if chart[key] != version:
            yield f"Chart.yaml has the {key} {chart[key]}, the package {version}"
    headings = re.findall(r"^## (.+)$", (root / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    if not re.fullmatch(rf"{re.escape(version)} - (unreleased|\d{{4}}-\d{{2}}-\d{{2}})", headings[0]):
        yield f"CHANGELOG.md begins with {headings[0]!r}, not with {version} and its date"
    if not (root / "tests/samples/journals" / version).is_dir():
        yield f"there is no stored journal of {version}: python -m tests.unit.journal.stored"
    if tag and tag != f"v{version}":
        yield f"the tag is {tag}, the package's version {version}"
    if tag and headings[0].endswith("unreleased"):
        yield f"CHANGELOG.md gives {version} no date"


def built_twice(sources: tuple[Path, Path], scratch: Path) -> tuple[str, str]:
    """The sums of two builds in different surroundings, of sources in two places."""
    found = []
    for number, (place, (variables, mask)) in enumerate(zip(sources, SURROUNDINGS, strict=True)):
        before = os.umask(mask)
        try:
            found.append(sums(build(place, scratch / f"built-{number}", variables)))
        finally:
            os.umask(before)
    return found[0], found[1]


def differences(scratch: Path) -> Iterator[str]:
    """Where two builds differ, or the wheel depends on where it is built from; leaves the files in ``built-0``."""
    places = scratch / "one", scratch / "two" / "deeper"
    for place in places:
        place.mkdir(parents=True)
        check_out(place)
    first, second = built_twice(places, scratch)
    if first != second:
        yield f"two builds of one commit differ:\n{first}{second}"
    (archive,) = (scratch / "built-0").glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(scratch / "unpacked", filter="data")
    (unpacked,) = (scratch / "unpacked").iterdir()
    again = sums(path for path in build(unpacked, scratch / "from-archive") if path.suffix == ".whl")
    if again not in first:
        yield f"the source archive makes another wheel than the commit:\n{first}{again}"


def broken(wheel: Path, sources: Path, scratch: Path) -> Iterator[str]:
    """What does not work once the wheel is installed in an empty environment."""
    relay = install(wheel, sources / "requirements/run.txt", scratch / "environment").with_name("relay")
    for command in (["version"], ["demo", "--once"]):
        done = subprocess.run([relay, *command], cwd=scratch, capture_output=True, text=True, timeout=180, check=False)
        if done.returncode != 0:
            yield f"relay {' '.join(command)} ends with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Says what is wrong; the exit code is 1 then."""
    wrong = list(disagreements(ROOT, environment.get("TAG", "")))
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        wrong += differences(scratch)
        (wheel,) = (scratch / "built-0").glob("*.whl")
        print(sums(sorted((scratch / "built-0").iterdir())), end="")
        wrong += broken(wheel, scratch / "one", scratch)
    for each in wrong:
        print(each, file=sys.stderr)
    print(f"{version_of(ROOT)} cannot be released" if wrong else f"{version_of(ROOT)}: two builds, one hash; it works")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
