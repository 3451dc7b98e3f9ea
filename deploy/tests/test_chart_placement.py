"""Where the chart's pods go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deploy.tests.manifests import Manifest, stateful_with

ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
OTHERS = {"labelSelector": {"matchLabels": {"app": "other"}}, "topologyKey": HOST}


def pod_with(folder: Path, **values: Any) -> Manifest:
    spec: Manifest = stateful_with(folder, **values)["spec"]["template"]["spec"]
    return spec


def test_replicas_are_spread_over_nodes_also_where_no_node_has_a_zone(tmp_path: Path) -> None:
    """All replicas would be on one node: constraints count only on nodes that have the labels of *all* of them."""
    (constraint,) = pod_with(tmp_path)["topologySpreadConstraints"]
    assert constraint["topologyKey"] == HOST
    assert constraint["maxSkew"] == 1
    assert constraint["whenUnsatisfiable"] == "ScheduleAnyway", "one node must do for a trial"


def test_replicas_prefer_zones_that_have_none(tmp_path: Path) -> None:
    """A zone that fails would take all replicas along."""
    stateful = stateful_with(tmp_path)
    (preference,) = stateful["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"][
        "preferredDuringSchedulingIgnoredDuringExecution"
    ]
    assert preference["podAffinityTerm"]["topologyKey"] == ZONE
    selector = preference["podAffinityTerm"]["labelSelector"]["matchLabels"]
    assert selector == stateful["spec"]["selector"]["matchLabels"]


def test_an_affinity_of_ones_own_is_added(tmp_path: Path) -> None:
    """Who asks for a kind of node would lose the spread over zones, or what they asked for."""
    own = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{}]}},
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [OTHERS],
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": OTHERS}],
        },
    }
    found = pod_with(tmp_path, affinity=own)["affinity"]
    assert found["nodeAffinity"] == own["nodeAffinity"]
    assert found["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] == [OTHERS]
    preferred = found["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert [each["podAffinityTerm"]["topologyKey"] for each in preferred] == [HOST, ZONE]
