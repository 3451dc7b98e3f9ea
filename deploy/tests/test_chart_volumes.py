"""The volumes of the journals: that they grow, and what becomes of them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.render import ROOT
from deploy.tests.kube_api import KubeApi, cluster_with
from deploy.tests.manifests import Manifest, refusal_of, stateful_with
from tests.docs.pages import pages

PAGE = "docs/how-to/larger-volumes.md"
LABELS = {"app.kubernetes.io/name": "relay", "app.kubernetes.io/instance": "relay"}


def storage_class(**more: Any) -> Manifest:
    return {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "fast"}, **more}


def claim(name: str, **labels: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "20Gi"}}},
    }


def as_it_runs(stateful: Manifest, replicas: int = 3) -> Manifest:
    """The StatefulSet as the cluster has it."""
    stateful["metadata"] |= {"namespace": "default", "uid": "an-old-one", "resourceVersion": "17"}
    stateful["spec"]["replicas"] = replicas
    return stateful


def asked_for(claim_: Manifest) -> str:
    return str(claim_["spec"]["resources"]["requests"]["storage"])


def grow(api: KubeApi, folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """The command of the page, for a cluster that is not the current one of kubectl."""
    clusters = [
        {"name": "here", "cluster": {"server": api.url}},
        {"name": "elsewhere", "cluster": {"server": "http://127.0.0.1:1"}},
    ]
    contexts = [{"name": each["name"], "context": {"cluster": each["name"], "namespace": "other"}} for each in clusters]
    config = folder / "kubeconfig"
    config.write_text(json.dumps({"clusters": clusters, "contexts": contexts, "current-context": "elsewhere"}))
    shell = ["bash", "-c", f"export KUBECONFIG={config} HOME={folder}\n{command.strip()} --context here"]
    return subprocess.run(shell, cwd=ROOT.parent, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def command() -> str:
    """What the page shows."""
    (block,) = (block for page in pages() if page.path == PAGE for block in page.blocks)
    return block.text


@pytest.fixture
def stateful(tmp_path: Path) -> Manifest:
    return as_it_runs(stateful_with(tmp_path))


def test_the_command_of_the_page_grows_the_volumes(command: str, stateful: Manifest, tmp_path: Path) -> None:
    """The journal's disk would be full, and the page that helps would fail, restart pods, or scale them down to one."""
    ours = [claim(f"journal-relay-{number}", **LABELS) for number in range(4)]
    other = claim("journal-other-0", **{**LABELS, "app.kubernetes.io/instance": "other"})
    with cluster_with(stateful, storage_class(allowVolumeExpansion=True), other, *ours) as api:
        grown = grow(api, tmp_path, command)
        assert grown.returncode == 0, grown.stderr
        assert [asked_for(each) for each in ours] == ["40Gi"] * 4, "one of them waits for its replica to come back"
        assert asked_for(other) == "20Gi"
        (deleted,) = [body for method, _, body in api.changes if method == "DELETE"]
        assert deleted["propagationPolicy"] == "Orphan", "else its pods go with it"
        (created,) = [body for method, _, body in api.changes if method == "POST"]
        assert asked_for(created["spec"]["volumeClaimTemplates"][0]) == "40Gi"
        assert "resourceVersion" not in created["metadata"], "the API refuses to create one with a version"
        assert created["spec"]["replicas"] == 3
        assert created["spec"]["template"] == stateful["spec"]["template"], "else every pod restarts"
        assert [method for method, _, _ in api.changes] == ["PATCH"] * 4 + ["DELETE", "POST"]


def test_what_cannot_grow_is_left_alone(command: str, stateful: Manifest, tmp_path: Path) -> None:
    """The StatefulSet would promise a size that its volumes do not have, or take its volumes along."""
    ours = claim("journal-relay-0", **LABELS)
    with cluster_with(stateful, storage_class(), ours) as api:
        refused = grow(api, tmp_path, command)
        assert refused.returncode == 1
        assert "storage class fast of persistentvolumeclaim/journal-relay-0 does not allow" in refused.stderr
        assert api.changes == []
    stateful["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] = "Delete"
    with cluster_with(stateful, storage_class(allowVolumeExpansion=True), ours) as api:
        assert "whenDeleted" in grow(api, tmp_path, command).stderr
        assert api.changes == []


@pytest.mark.parametrize(
    ("size", "accepted"),
    [("40Gi", False), ("10Gi", False), ("20.0Gi", True), ("20480Mi", True), ("20Gi", True)],
    ids=["larger", "smaller", "as-a-fraction", "in-another-unit", "same"],
)
def test_another_size_is_refused_with_what_to_do(size: str, accepted: bool, stateful: Manifest, tmp_path: Path) -> None:
    """Kubernetes would refuse the upgrade in words that name no value; the same size in other words must pass."""
    with cluster_with(stateful) as cluster:
        if accepted:
            assert stateful_with(tmp_path, *cluster.rendering, persistence={"size": size})
            return
        message = refusal_of(tmp_path, *cluster.rendering, persistence={"size": size})
        assert f"persistence.size is {size}, but the volumes were made with 20Gi" in message
        assert "grow-volumes.sh" in message
        assert stateful_with(tmp_path, *cluster.rendering, persistence={"enabled": False, "size": size})
