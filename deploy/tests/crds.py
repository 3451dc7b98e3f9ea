"""The schemas of the custom resources that the chart makes, from the Go modules of the projects that define them.

``python -m deploy.tests.crds`` writes ``crds/*.json``, with Go and the module proxy; the tests read these files only.
They are strict: the API drops a field that it does not know without a word.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import jsonschema
import yaml

from deploy.tests.manifests import Manifest

FOLDER: Final = Path(__file__).resolve().parent / "crds"
_KEDA: Final = "github.com/kedacore/keda/v2@v2.21.0"
_GATEWAY: Final = "sigs.k8s.io/gateway-api@v1.6.0"
_OPERATOR: Final = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
SOURCES: Final = {
    "ScaledObject": (_KEDA, "config/crd/bases/keda.sh_scaledobjects.yaml"),
    "HTTPRoute": (_GATEWAY, "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"),
    "ServiceMonitor": (_OPERATOR, "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"),
    "PodMonitor": (_OPERATOR, "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml"),
    "PrometheusRule": (_OPERATOR, "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"),
}
"""Each kind, the module that defines it (all under the Apache License 2.0), and where in it."""

_KEPT: Final = frozenset(
    "additionalProperties allOf anyOf enum items maxItems maxLength maximum minItems minLength minProperties minimum"
    " not oneOf pattern properties required type".split()
)


def validate(manifest: Manifest) -> None:
    """Raises ``jsonschema.ValidationError`` where the API would refuse or drop something."""
    crd = json.loads((FOLDER / f"{manifest['kind']}.json").read_text("utf-8"))
    assert manifest["apiVersion"] == crd["apiVersion"]
    jsonschema.validate(manifest, crd["schema"])


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema of OpenAPI as one of JSON, without prose, and closed unless it says that it is open."""
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    kept = {key: value for key, value in schema.items() if key in _KEPT}
    if "pattern" in kept:
        kept["pattern"] = kept["pattern"].replace("^(?i)", "(?i)^")  # Go takes the flag anywhere, Python first only
    for key in ("allOf", "anyOf", "oneOf"):
        if key in kept:
            kept[key] = [_strict(each) | {"additionalProperties": True} for each in kept[key]]
    for key in ("items", "not"):
        if key in kept:
            kept[key] = _strict(kept[key])
    if isinstance(kept.get("additionalProperties"), dict):
        kept["additionalProperties"] = _strict(kept["additionalProperties"])
    if "properties" in kept:
        kept["properties"] = {name: _strict(each) for name, each in kept["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            kept.setdefault("additionalProperties", False)
    return kept


def main() -> None:
    """Writes the files."""
    for kind, (module, path) in SOURCES.items():
        asked = subprocess.run(["go", "mod", "download", "-json", module], check=True, capture_output=True, timeout=300)
        crd = yaml.safe_load((Path(json.loads(asked.stdout)["Dir"]) / path).read_text("utf-8"))["spec"]
        version = next(each for each in crd["versions"] if each["storage"])
        schema = _strict(version["schema"]["openAPIV3Schema"])
        schema["properties"].pop("status", None)
        schema["properties"]["metadata"] = {"type": "object"}
        source = {"source": f"{module}/{path}", "license": "Apache-2.0"}
        api_version = f"{crd['group']}/{version['name']}"
        text = json.dumps({**source, "apiVersion": api_version, "schema": schema}, indent=1)
        (FOLDER / f"{kind}.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
