"""The chart as a package that installs the image of the same release: ``make chart``."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.release.build import DIST, check_out
from deploy.release.check import version_of

DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


def point_at(values: str, repository: str, digest: str) -> str:
    """The chart's values, comments and all, with that image. Raises ``ValueError`` where they have no place for it."""
    for key, value in {"repository": repository, "digest": f'"{digest}"'}.items():
        values, count = re.subn(rf"^(image:\n(?:  .*\n)*?  {key}: ).*$", rf"\g<1>{value}", values, flags=re.MULTILINE)
        if count != 1:
            raise ValueError(f"values.yaml has {count} lines for image.{key}")
    return values


def annotated(chart: dict[str, Any], image: str, source: str) -> dict[str, Any]:
    """Chart.yaml with what Artifact Hub shows beside it."""
    facts = {"artifacthub.io/images": yaml.safe_dump([{"name": "relay", "image": image}])}
    if source:
        chart |= {"home": source, "sources": [source]}
        facts["artifacthub.io/links"] = yaml.safe_dump(
            [{"name": "documentation", "url": f"{source}/blob/v{chart['version']}/docs/README.md"}]
        )
    return {**chart, "annotations": {**chart["annotations"], **facts}}


def package(repository: str, digest: str, source: str, target: Path) -> Path:
    """Packages the committed chart. ``source``: where the source is; empty: nowhere."""
    with tempfile.TemporaryDirectory() as folder:
        check_out(Path(folder))
        place = Path(folder, "deploy/helm/relay")
        about = place / "Chart.yaml"
        chart = annotated(
            yaml.safe_load(about.read_text("utf-8")), f"{repository}:{version_of(Path(folder))}@{digest}", source
        )
        about.write_text(yaml.safe_dump(chart, sort_keys=False, allow_unicode=True, width=120))
        values = place / "values.yaml"
        values.write_text(point_at(values.read_text("utf-8"), repository, digest))
        command = ["helm", "package", str(place), "--destination", str(target)]
        subprocess.run(command, capture_output=True, timeout=60, check=True)
    return target / f"relay-{chart['version']}.tgz"


def main(arguments: Sequence[str]) -> int:
    """Writes ``dist/relay-<version>.tgz``."""
    parser = argparse.ArgumentParser(prog="make chart", description="Package the chart for an image.")
    parser.add_argument("repository", help="of the image, such as registry.example/relay")
    parser.add_argument("digest", help="of the image, sha256:...")
    parser.add_argument("--source", default="", help="where the source is: a URL")
    given = parser.parse_args(arguments)
    if not DIGEST.fullmatch(given.digest):
        parser.error(f"{given.digest!r} is no digest")
    DIST.mkdir(exist_ok=True)
    print(package(given.repository, given.digest, given.source, DIST))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
