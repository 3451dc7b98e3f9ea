"""Writes what is generated from the chart: the table of values in its README, and the Kustomize base.

``python -m deploy.render`` writes both; the tests in ``deploy/tests`` fail if a committed file is out of date.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent
CHART = ROOT / "helm" / "relay"
KUSTOMIZE = ROOT / "kustomize" / "base"
KUBE_VERSION = "1.32.0"
_HELMS_OWN = ("helm.sh/chart:", "app.kubernetes.io/managed-by:", "# Source:")

_README = """\
# The chart `relay`

<!-- not run: needs a cluster -->

```sh
kubectl create secret generic relay --from-literal=webhook-tokens=$(openssl rand -hex 32) \\
  --from-literal=api-tokens=$(openssl rand -hex 32)
helm install relay deploy/helm/relay --values values.yaml
helm test relay
```

with a `values.yaml` like

<!-- values -->

```yaml
existingSecret: relay
config:
  server: {api_tokens_file: /etc/relay/secrets/api-tokens}
  webhooks: {novita: {tokens_file: /etc/relay/secrets/webhook-tokens}}
  sinks: [{type: kafka, bootstrap_servers: "kafka:9092"}]
ingress: {enabled: true, hosts: [relay.example.com]}
```

This runs one replica. Several need a common memory of what has been published, or the chart refuses them, also under an
autoscaler: [several replicas](../../../docs/how-to/several-replicas.md). `helm test` sends a webhook to each
replica and waits until its event is on every sink; consumers see it with `data.test: true`.

[docs/kubernetes.md](../../../docs/kubernetes.md) says what the chart creates, and how to run it. More examples of
values are in [`ci/`](ci). `python -m deploy.render` writes this table from the comments in `values.yaml`.

| value | default | what |
| --- | --- | --- |
"""


def helm(*arguments: str) -> str:
    """What ``helm`` prints. Raises ``CalledProcessError`` where it fails; its ``stderr`` says why."""
    command = ["helm", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def template(*arguments: str, kube_version: str = KUBE_VERSION, release: str = "relay") -> str:
    """The chart's manifests."""
    return helm("template", release, str(CHART), "--kube-version", kube_version, *arguments)


def readme() -> str:
    """The chart's README."""
    return _README + "".join(f"| `{key}` | {_shown(value)} | {what} |\n" for key, value, what in _rows())


def kustomize_base() -> str:
    """The chart's manifests with its defaults, without what only Helm uses."""
    lines = template("--skip-tests").splitlines()
    kept = [line for line in lines if not line.strip().startswith(_HELMS_OWN)]
    return "# Written by `python -m deploy.render` from deploy/helm/relay.\n" + "\n".join(kept) + "\n"


def _rows() -> Iterator[tuple[str, Any, str]]:
    text = (CHART / "values.yaml").read_text("utf-8")
    described = _comments(text)
    for key, value in _leaves(yaml.safe_load(text), "", described):
        yield key, value, described.get(key, "")


def _comments(text: str) -> dict[str, str]:
    """The ``# --`` comment above each key, under the key's whole path."""
    found: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            comment = (
                [stripped.removeprefix("# --").strip()] if stripped.startswith("# --") else [*comment, stripped[2:]]
            )
        elif ":" in stripped and not stripped.startswith("-"):
            indent = len(line) - len(line.lstrip())
            path = [(depth, name) for depth, name in path if depth < indent]
            path.append((indent, stripped.partition(":")[0]))
            if comment:
                found[".".join(name for _, name in path)] = " ".join(comment)
            comment = []
        elif not stripped:
            comment = []
    return found


def _leaves(values: Mapping[str, Any], prefix: str, described: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value and path not in described:
            yield from _leaves(value, f"{path}.", described)
        else:
            yield path, value


def _shown(value: Any) -> str:
    if value in ("", None):
        return ""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n")
    return f"`{text.strip()}`"


def main() -> None:
    """Writes the files."""
    (CHART / "README.md").write_text(readme(), "utf-8")
    (KUSTOMIZE / "relay.yaml").write_text(kustomize_base(), "utf-8")


if __name__ == "__main__":
    main()
