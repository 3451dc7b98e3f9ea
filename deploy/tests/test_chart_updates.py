"""How the chart's StatefulSet is updated: what makes an upgrade stand still, and what drops replicas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.tests.kube_api import cluster_with
from deploy.tests.manifests import Manifest, notes, stateful_with

ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}


@pytest.mark.parametrize(
    ("chosen", "strategy"),
    [
        ({}, ROLLING),
        ({"updateStrategy": {"type": "RollingUpdate"}}, ROLLING),
        ({"updateStrategy": {"rollingUpdate": None}}, ROLLING),
        ({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {}}}, ROLLING),
        ({"updateStrategy": {"rollingUpdate": {"partition": None}}}, ROLLING),
        ({"updateStrategy": None}, ROLLING),
        ({"updateStrategy": {"rollingUpdate": {"partition": 2}}}, {**ROLLING, "rollingUpdate": {"partition": 2}}),
        (
            {"updateStrategy": {"rollingUpdate": {"maxUnavailable": "50%"}}},
            {**ROLLING, "rollingUpdate": {"partition": 0, "maxUnavailable": "50%"}},
        ),
        ({"updateStrategy": {"type": "OnDelete"}}, {"type": "OnDelete"}),
    ],
    ids=["default", "only-type", "null", "empty", "null-partition", "nothing", "canary", "faster", "on-delete"],
)
def test_a_rolling_update_always_has_a_partition(
    chosen: dict[str, Any], strategy: dict[str, Any], tmp_path: Path
) -> None:
    """Without it, Kubernetes makes a pod that is not available yet again at the old revision, forever: seen twice."""
    assert stateful_with(tmp_path, **chosen)["spec"]["updateStrategy"] == strategy


def running(replicas: int) -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "relay", "namespace": "default"},
        "spec": {"replicas": replicas},
    }


def replicas_on(cluster: tuple[str, ...], folder: Path, **values: Any) -> int | None:
    found: int | None = stateful_with(folder, *cluster, allowRepeats=True, **values)["spec"].get("replicas")
    return found


AUTOSCALED = {"autoscaling": {"enabled": True}}


def test_autoscaling_keeps_the_replicas_that_run(tmp_path: Path) -> None:
    """An upgrade that turns it on would drop three replicas to one at once: a field that goes gets its default, 1."""
    with cluster_with(running(3)) as cluster:
        assert replicas_on(cluster.rendering, tmp_path, **AUTOSCALED) == 3
        assert replicas_on(cluster.rendering, tmp_path, replicaCount=5) == 5, "without autoscaling the value counts"


def test_autoscaling_leaves_the_number_out_where_nothing_runs(tmp_path: Path) -> None:
    """Argo CD, which renders without a cluster, would undo what the autoscaler decided, again and again."""
    with cluster_with() as cluster:
        assert replicas_on(cluster.rendering, tmp_path, **AUTOSCALED) is None
    assert replicas_on((), tmp_path, **AUTOSCALED) is None


def test_a_smaller_number_is_said_to_leave_volumes(tmp_path: Path) -> None:
    """Turning autoscaling off falls back to replicaCount: events would wait on volumes that nobody thinks of."""
    with cluster_with(running(4)) as cluster:
        assert "SCALED DOWN: 4 replicas run, and 1 remain." in notes(tmp_path, *cluster.rendering)
        assert "SCALED DOWN" not in notes(tmp_path, *cluster.rendering, allowRepeats=True, replicaCount=4)
        assert "SCALED DOWN" not in notes(tmp_path, *cluster.rendering, allowRepeats=True, **AUTOSCALED)
    assert "SCALED DOWN" not in notes(tmp_path)
