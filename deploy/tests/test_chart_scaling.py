"""What scales the chart's replicas: an autoscaler of Kubernetes, or KEDA by what the relays report."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.render import CHART
from deploy.tests.exposed import names_in, of_a_fresh_relay
from deploy.tests.kube_api import cluster_with
from deploy.tests.manifests import Manifest, of_kind, refusal_of, rendered, rendered_with, stateful_with

VALUES = CHART / "ci" / "keda-values.yaml"
KEDA = {"enabled": True, "prometheus": {"serverAddress": "http://prometheus:9090"}}
SINKS = [{"type": "redis", "url": "redis://redis:6379/0", "shared_window": "7d"}]


def scaled_with(folder: Path, **values: Any) -> Manifest:
    values = {"config": {"sinks": SINKS}, **values}
    (scaled,) = of_kind(rendered_with(folder, **values), "ScaledObject")
    return scaled


def triggers(scaled: Manifest) -> dict[str, Manifest]:
    """The metadata of those that ask Prometheus, by name."""
    return {each["name"]: each["metadata"] for each in scaled["spec"]["triggers"] if each["type"] == "prometheus"}


def test_keda_scales_the_replicas_and_never_to_none(tmp_path: Path) -> None:
    """It would scale something else, or leave nobody to accept webhooks."""
    spec = scaled_with(tmp_path, keda=KEDA)["spec"]
    stateful = stateful_with(tmp_path, config={"sinks": SINKS}, keda=KEDA)
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "relay"}
    assert stateful["metadata"]["name"] == "relay"
    assert spec["minReplicaCount"] >= 1
    assert "replicas" not in stateful["spec"], "each upgrade would undo what KEDA decided"
    assert "minReplicas" in refusal_of(tmp_path, config={"sinks": SINKS}, keda={**KEDA, "minReplicas": 0})


def test_turning_keda_on_keeps_the_replicas_that_run(tmp_path: Path) -> None:
    """All replicas but one would stop at once."""
    live = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "relay", "namespace": "default"}}
    with cluster_with({**live, "spec": {"replicas": 4}}) as cluster:
        stateful = stateful_with(tmp_path, *cluster.rendering, config={"sinks": SINKS}, keda=KEDA)
    assert stateful["spec"]["replicas"] == 4


def test_a_prometheus_that_sees_nothing_scales_nothing_down() -> None:
    """No value would count as 0, and all but the last replicas would stop while they are full of chats."""
    (scaled,) = of_kind(rendered(VALUES), "ScaledObject")
    assert set(triggers(scaled)) == {"chats", "lag"}
    assert {each["ignoreNullValues"] for each in triggers(scaled).values()} == {"false"}


def test_all_values_of_a_trigger_are_text() -> None:
    """KEDA's API refuses numbers there."""
    (scaled,) = of_kind(rendered(VALUES, "--set", "keda.chatsPerReplica=1000000"), "ScaledObject")
    for trigger in scaled["spec"]["triggers"]:
        assert all(isinstance(value, str) for value in trigger["metadata"].values())
    assert triggers(scaled)["chats"]["threshold"] == "1000000"


def test_prometheus_may_ask_for_a_password_and_others_may_scale_too() -> None:
    """A Prometheus behind a token could not be asked, or CPU not be heeded besides."""
    (scaled,) = of_kind(rendered(VALUES), "ScaledObject")
    chats, lag, cpu = scaled["spec"]["triggers"]
    assert chats["authenticationRef"] == lag["authenticationRef"]
    assert chats["metadata"]["authModes"] == lag["metadata"]["authModes"] == "bearer"
    assert cpu["type"] == "cpu"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"keda": {"enabled": True}}, "keda.prometheus.serverAddress"),
        ({"keda": KEDA, "autoscaling": {"enabled": True}}, "autoscaling.enabled and keda.enabled"),
        ({"keda": {**KEDA, "minReplicas": 7}}, "keda.minReplicas is 7, but keda.maxReplicas is 6"),
        (
            {"autoscaling": {"enabled": True, "minReplicas": 7}},
            "autoscaling.minReplicas is 7, but autoscaling.maxReplicas is 6",
        ),
        ({"keda": KEDA, "config": {"sinks": [{"type": "kafka"}]}}, "keda.maxReplicas allows 6 replicas"),
    ],
    ids=["no-prometheus", "both", "keda-upside-down", "upside-down", "unshared"],
)
def test_what_cannot_work_is_refused_by_name(values: dict[str, Any], message: str, tmp_path: Path) -> None:
    """Two autoscalers would pull at the replicas, or one would never do anything."""
    assert message in refusal_of(tmp_path, **{"config": {"sinks": SINKS}, **values})


# -- the queries -----------------------------------------------------------------------------------------------------


async def test_the_queries_ask_for_what_a_relay_exposes(tmp_path: Path) -> None:
    """A query for a metric that nobody exposes never has a value."""
    exposed = await of_a_fresh_relay(tmp_path)
    (scaled,) = of_kind(rendered(VALUES), "ScaledObject")
    for trigger in triggers(scaled).values():
        assert names_in(trigger["query"]) <= exposed


def evaluated(folder: Path, query: str, series: dict[str, float], expected: float | None) -> str:
    """What promtool complains of; empty if the query has the expected value, or none."""
    samples = [] if expected is None else [{"labels": "{}", "value": expected}]
    test = {
        "input_series": [{"series": name, "values": f"{value}x5"} for name, value in series.items()],
        "promql_expr_test": [{"expr": query, "eval_time": "2m", "exp_samples": samples}],
        "interval": "1m",
    }
    file = folder / "queries.yaml"
    file.write_text(json.dumps({"tests": [test]}))
    result = subprocess.run(
        ["promtool", "test", "rules", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    return "" if result.returncode == 0 else result.stdout + result.stderr


def series_of(pod: str, metric: str, sink: str = "", namespace: str = "default") -> str:
    of_a_sink = f', sink="{sink}"' if sink else ""
    return f'{metric}{{namespace="{namespace}", pod="{pod}", instance="{pod}:9090"{of_a_sink}}}'


def test_open_chats_are_those_of_this_release(tmp_path: Path) -> None:
    """Another release's chats would scale this one."""
    query = triggers(scaled_with(tmp_path, keda=KEDA))["chats"]["query"]
    chats = {series_of("relay-0", "relay_chats_active"): 300, series_of("relay-1", "relay_chats_active"): 200}
    others = {
        series_of("relay-0", "relay_chats_active", namespace="staging"): 1000,
        series_of("relay-test-0", "relay_chats_active"): 1000,
    }
    assert evaluated(tmp_path, query, chats | others, 500) == ""
    assert evaluated(tmp_path, query, others, None) == ""
    assert evaluated(tmp_path, query, chats, 499) != "", "the check would let everything pass"


def test_the_lag_counts_the_slowest_sink_and_nothing_while_one_is_away(tmp_path: Path) -> None:
    """An outage of a sink would start replicas that cannot help, or scale down the replicas whose events wait."""
    query = triggers(scaled_with(tmp_path, keda=KEDA))["lag"]["query"]
    lags = {
        series_of("relay-0", "relay_publish_lag_events", "kafka"): 9000,
        series_of("relay-0", "relay_publish_lag_events", "redis"): 50,
        series_of("relay-1", "relay_publish_lag_events", "kafka"): 8000,
        series_of("relay-1", "relay_publish_lag_events", "redis"): 70,
    }
    up = {name.replace("relay_publish_lag_events", "relay_sink_up"): 1 for name in lags}
    assert evaluated(tmp_path, query, lags | up, 17000) == ""
    kafka_away = {name: 0 if "kafka" in name else 1 for name in up}
    assert evaluated(tmp_path, query, lags | kafka_away, None) == ""
    assert evaluated(tmp_path, query, lags | dict.fromkeys(up, 0), None) == ""
