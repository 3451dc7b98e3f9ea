"""The chart: what it makes of values, what it refuses, and that a relay really runs with it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

from deploy import render
from deploy.tests import crds
from deploy.tests.manifests import VALUE_SETS, Manifest, documents, name_of, of_kind, pod_specs, rendered
from relay.app.plugins import sink_configs
from relay.settings import Settings, load
from tests.docs.pages import Block, pages

OLDEST, NEWEST = 28, 37
"""Kubernetes 1.28 to 1.37: the first and the last with every set of values, those between with the two largest."""

KUBE_VERSIONS = [
    pytest.param(values, f"1.{minor}", id=f"{name_of(values)}-1.{minor}")
    for minor in range(OLDEST, NEWEST + 1)
    for values in VALUE_SETS
    if minor in (OLDEST, NEWEST) or name_of(values) in ("defaults", "extras")
]

SHOWN_VALUES = [block for page in pages() for block in page.blocks if "values" in block.said]

each_value_set = pytest.mark.parametrize("values", VALUE_SETS, ids=name_of)


@each_value_set
def test_helm_lint_finds_nothing(values: Path | None) -> None:
    """A chart that Helm itself warns of would be installed."""
    chosen = () if values is None else ("--values", str(values))
    assert "0 chart(s) failed" in render.helm("lint", "--strict", str(render.CHART), *chosen)


@pytest.mark.parametrize(("values", "version"), KUBE_VERSIONS)
def test_every_manifest_is_valid_for_the_version_of_kubernetes(values: Path | None, version: str) -> None:
    """A field that this version does not know, or knows otherwise, would be refused or silently dropped."""
    manifests = rendered(values, kube_version=f"{version}.0")
    assert len(manifests) >= 6
    for manifest in manifests:
        if manifest["kind"] in crds.SOURCES:
            crds.validate(manifest)
            continue
        kubernetes_validate.validate(manifest, version, strict=True)  # raises, also for a kind that it does not know


def test_a_wrong_field_would_be_seen() -> None:
    """The validation above could pass whatever is in the manifests."""
    (stateful,) = of_kind(rendered(), "StatefulSet")
    stateful["spec"]["template"]["spec"]["containers"][0]["livenessProb"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(stateful, "1.32", strict=True)
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        kubernetes_validate.validate({"apiVersion": "v1", "kind": "Relay"}, "1.32", strict=True)
    (route,) = of_kind(rendered(render.CHART / "ci" / "gateway-values.yaml"), "HTTPRoute")
    crds.validate(route)
    route["spec"]["hostname"] = "relay.example.com"
    with pytest.raises(jsonschema.ValidationError):
        crds.validate(route)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("replicaCont=3", "replicaCont"),
        ("persistence.sise=1Gi", "sise"),
        ("persistence.size=large", "persistence/size"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("image.digest=latest", "digest"),
        ("drain.streamSeconds=5", "streamSeconds"),
        ("config.sinkz=x", "sinkz"),
        ("networkPolicy.enabld=true", "enabld"),
        ("replicaCount=0", "replicaCount"),
        ("ingress.enabled=true", "ingress.hosts"),
        ("httpRoute.enabled=true", "httpRoute.parentRefs"),
        ("config.server.host=127.0.0.1", "config.server.host is set by the chart"),
        ("config.server.drain_timeout=5s", "drain.streamsSeconds"),
        ("config.identity=x", "config.identity is set by the chart"),
        ("config.journal.path=/x", "config.journal.path is set by the chart"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_by_name(setting: str, message: str) -> None:
    """A typing error would install a relay without what was asked for."""
    with pytest.raises(subprocess.CalledProcessError) as refused:
        render.template("--set", setting)
    assert message in refused.value.stderr


@pytest.mark.parametrize("block", SHOWN_VALUES, ids=str)
def test_values_that_a_page_shows_are_installed(block: Block, tmp_path: Path) -> None:
    """A reader would copy values that the chart refuses together, though each of them is valid."""
    file = tmp_path / "values.yaml"
    file.write_text(block.text)
    assert of_kind(rendered(file), "StatefulSet")


@each_value_set
def test_every_pod_keeps_the_restricted_pod_security_standard(values: Path | None) -> None:
    """A namespace that enforces it (https://kubernetes.io/docs/concepts/security/pod-security-standards/) says no."""
    specs = list(pod_specs(rendered(values)))
    assert len(specs) == 2, "the relay's and the test's"
    for spec in specs:
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        assert not any(spec.get(shared) for shared in ("hostNetwork", "hostPID", "hostIPC"))
        allowed = {"configMap", "secret", "emptyDir", "projected", "persistentVolumeClaim"}
        assert all(set(volume) - {"name"} <= allowed for volume in spec.get("volumes", []))
        for container in spec["containers"]:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["readOnlyRootFilesystem"] is True
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert "hostPort" not in json.dumps(container.get("ports", []))


@each_value_set
def test_the_grace_period_covers_pre_stop_drain_and_closing(values: Path | None) -> None:
    """Kubernetes would kill a relay in the middle of its drain."""
    manifests = rendered(values)
    (stateful,) = of_kind(manifests, "StatefulSet")
    spec = stateful["spec"]["template"]["spec"]
    command = spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    found = re.fullmatch(r"timeout (\d+) .* --timeout \1s & sleep (\d+); wait", command[-1])
    assert found
    pre_stop, sleep = map(int, found.groups())
    assert pre_stop > sleep
    drain = re.fullmatch(r"(\d+)s", config_of(manifests)["server"]["drain_timeout"])
    assert drain
    assert spec["terminationGracePeriodSeconds"] == pre_stop + int(drain[1]) + 15


def config_of(manifests: list[Manifest]) -> Manifest:
    (found,) = (m for m in of_kind(manifests, "ConfigMap") if "relay.yaml" in m["data"])
    return yaml.safe_load(found["data"]["relay.yaml"])


@each_value_set
def test_the_relay_accepts_the_configuration_that_the_chart_writes(values: Path | None, tmp_path: Path) -> None:
    """Every pod would end with 78 over a key that the chart misspells."""
    text = yaml.safe_dump(config_of(rendered(values)))
    file = tmp_path / "relay.yaml"
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in ("webhook-tokens", "api-tokens"):
        (secrets / name).write_text("a-token-of-enough-length-0123456789\n")
    file.write_text(text.replace("/etc/relay/secrets", str(secrets)))
    settings = load(file, {}, sink_configs())
    assert settings.server.host == "0.0.0.0"
    assert str(settings.journal.path) == "/var/lib/relay/relay.db"


def test_the_schema_of_the_values_knows_every_section_of_the_configuration() -> None:
    """A new section of the relay's configuration could not be set through the chart."""
    schema = json.loads((render.CHART / "values.schema.json").read_text())
    assert set(schema["properties"]["config"]["properties"]) == set(Settings.model_fields)


def test_every_value_is_described_and_in_the_schema() -> None:
    """Somebody would have to read templates to learn what a value does."""
    schema = json.loads((render.CHART / "values.schema.json").read_text())
    for key, _, what in render._rows():
        assert what, f"{key} has no '# --' comment"
        node = schema
        for part in key.split("."):
            node = node["properties"][part]


def test_only_the_webhooks_are_exposed() -> None:
    """The consumer API, the proxy or the metrics would be on the internet."""
    ingress = of_kind(rendered(render.CHART / "ci" / "ingress-values.yaml"), "Ingress")[0]
    paths = [path["path"] for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]
    assert set(paths) == {"/webhooks"}
    route = of_kind(rendered(render.CHART / "ci" / "gateway-values.yaml"), "HTTPRoute")[0]
    matches = [match["path"]["value"] for rule in route["spec"]["rules"] for match in rule["matches"]]
    assert matches == ["/webhooks"]
    for manifests in map(rendered, VALUE_SETS):
        service = next(m for m in of_kind(manifests, "Service") if m["spec"].get("clusterIP") != "None")
        assert [port["name"] for port in service["spec"]["ports"]] == ["http"]


@each_value_set
def test_what_selects_the_pods_matches_them(values: Path | None) -> None:
    """A Service, a policy or a monitor would select nothing, which no schema sees."""
    manifests = rendered(values)
    (stateful,) = of_kind(manifests, "StatefulSet")
    labels = stateful["spec"]["template"]["metadata"]["labels"].items()
    selectors = [m["spec"]["selector"] for m in of_kind(manifests, "Service")]
    selectors += [m["spec"]["podSelector"]["matchLabels"] for m in of_kind(manifests, "NetworkPolicy")]
    for kind in ("StatefulSet", "PodDisruptionBudget", "PodMonitor"):
        selectors += [m["spec"]["selector"]["matchLabels"] for m in of_kind(manifests, kind)]
    assert all(selector.items() <= labels for selector in selectors)
    for monitor in of_kind(manifests, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        matching = [m for m in of_kind(manifests, "Service") if wanted <= m["metadata"]["labels"].items()]
        assert len(matching) == 1, "through both Services, each pod would be scraped twice"
    assert stateful["spec"]["serviceName"] in [m["metadata"]["name"] for m in of_kind(manifests, "Service")]


def test_an_autoscaled_relay_leaves_the_number_of_replicas_alone() -> None:
    """Each upgrade would undo what the autoscaler decided."""
    (stateful,) = of_kind(rendered(render.CHART / "ci" / "autoscaling-values.yaml"), "StatefulSet")
    assert "replicas" not in stateful["spec"]


def test_a_change_of_the_configuration_rolls_the_pods() -> None:
    """A changed configuration would take effect only when something else restarts a pod."""

    def checksum(*arguments: str) -> str:
        (stateful,) = of_kind(rendered(None, *arguments), "StatefulSet")
        return stateful["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

    assert checksum() != checksum("--set", "config.log.level=debug")


# -- what is derived from the chart ----------------------------------------------------------------------------------


def test_the_readme_and_the_kustomize_base_are_those_of_the_chart() -> None:
    """The README would describe, and Kustomize install, another relay than the chart."""
    hint = "run python -m deploy.render"
    assert (render.CHART / "README.md").read_text("utf-8") == render.readme(), hint
    assert (render.KUSTOMIZE / "relay.yaml").read_text("utf-8") == render.kustomize_base(), hint


def test_kustomize_builds_the_base() -> None:
    """`kubectl apply -k` would fail, or leave something out."""
    command = ["kubectl", "kustomize", str(render.KUSTOMIZE)]
    built = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    kinds = sorted(manifest["kind"] for manifest in documents(built))
    assert kinds == sorted(manifest["kind"] for manifest in rendered(None, "--skip-tests"))
