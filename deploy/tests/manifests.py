"""The chart's manifests as documents, by kind and name."""

from __future__ import annotations

import json
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.render import CHART, KUBE_VERSION, helm, template

VALUE_SETS = (None, *sorted((CHART / "ci").glob("*-values.yaml")))
"""The chart's own defaults, and each file of values in ``ci``."""

Manifest = dict[str, Any]


def name_of(values: Path | None) -> str:
    """For the names of tests."""
    return "defaults" if values is None else values.name.removesuffix("-values.yaml")


def rendered(values: Path | None = None, *arguments: str, kube_version: str = "1.32.0") -> list[Manifest]:
    """What the chart makes of these values."""
    chosen = () if values is None else ("--values", str(values))
    return documents(template(*chosen, *arguments, kube_version=kube_version))


def rendered_with(folder: Path, *arguments: str, **values: Any) -> list[Manifest]:
    """What the chart makes of these values, which are written to a file in ``folder``."""
    file = folder / "values.yaml"
    file.write_text(json.dumps(values))  # JSON is YAML
    return rendered(file, *arguments)


def stateful_with(folder: Path, *arguments: str, **values: Any) -> Manifest:
    """The StatefulSet that the chart makes of these values."""
    (stateful,) = of_kind(rendered_with(folder, *arguments, **values), "StatefulSet")
    return stateful


def refusal_of(folder: Path, *arguments: str, **values: Any) -> str:
    """What the chart says to values that it refuses."""
    with pytest.raises(subprocess.CalledProcessError) as refused:
        rendered_with(folder, *arguments, **values)
    return str(refused.value.stderr)


def pre_stop(*settings: str) -> list[str]:
    """The command that runs before a pod ends, with these settings of the chart."""
    chosen = [part for setting in settings for part in ("--set", setting)]
    (stateful,) = of_kind(rendered(None, *chosen), "StatefulSet")
    command: list[str] = stateful["spec"]["template"]["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"][
        "command"
    ]
    return command


def notes(folder: Path, *arguments: str, **values: Any) -> str:
    """What Helm prints after it has installed the chart with these values.

    ``helm template`` leaves it out, and ``helm install`` wants a whole cluster: here it is a manifest of a copy.
    """
    chart = folder / "chart"
    shutil.copytree(CHART, chart, dirs_exist_ok=True)
    text = textwrap.indent((chart / "templates" / "NOTES.txt").read_text("utf-8"), "  ")
    (chart / "templates" / "notes.yaml").write_text(f"kind: Notes\ntext: |\n{text}")
    file = folder / "values.yaml"
    file.write_text(json.dumps(values))
    command = ("template", "relay", str(chart), "--kube-version", KUBE_VERSION, "--values", str(file), *arguments)
    (found,) = of_kind(documents(helm(*command, "--show-only", "templates/notes.yaml")), "Notes")
    return str(found["text"])


def documents(text: str) -> list[Manifest]:
    """The documents of a YAML stream, empty ones left out."""
    return [document for document in yaml.safe_load_all(text) if document]


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    """Those of one kind."""
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def pod_specs(manifests: list[Manifest]) -> Iterator[Manifest]:
    """The specification of every pod that the manifests make."""
    for manifest in manifests:
        if manifest["kind"] == "Pod":
            yield manifest["spec"]
        elif "template" in manifest.get("spec", {}):
            yield manifest["spec"]["template"]["spec"]
