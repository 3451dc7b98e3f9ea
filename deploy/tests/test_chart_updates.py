"""How the chart's StatefulSet is updated: what makes an upgrade stand still, and what drops replicas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.tests.manifests import stateful_with

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
    """Without it, Kubernetes makes a pod that is not available yet again at the old revision, for ever: seen twice."""
    assert stateful_with(tmp_path, **chosen)["spec"]["updateStrategy"] == strategy
