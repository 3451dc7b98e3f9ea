"""What an administrator adds to what the chart makes: accounts, labels, containers, environment, probes, peers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.tests.manifests import Manifest, notes, of_kind, refusal_of, rendered_with, stateful_with

RESERVED = ("app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by")


def pod_with(folder: Path, **values: Any) -> Manifest:
    spec: Manifest = stateful_with(folder, **values)["spec"]["template"]["spec"]
    return spec


def relay_with(folder: Path, **values: Any) -> Manifest:
    """The relay's own container."""
    container: Manifest = pod_with(folder, **values)["containers"][0]
    assert container["name"] == "relay"
    return container


# -- accounts and labels ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "made", "used"),
    [
        ({}, ["relay"], "relay"),
        ({"name": "bridge"}, ["bridge"], "bridge"),
        ({"create": False, "name": "shared"}, [], "shared"),
        ({"create": False}, [], "default"),
    ],
    ids=["default", "named", "existing", "none"],
)
def test_the_pods_use_the_account_that_is_named(
    chosen: dict[str, Any], made: list[str], used: str, tmp_path: Path
) -> None:
    """Pods would not start for want of an account, or run as another than the one with the role."""
    manifests = rendered_with(tmp_path, serviceAccount=chosen)
    assert [each["metadata"]["name"] for each in of_kind(manifests, "ServiceAccount")] == made
    assert pod_with(tmp_path, serviceAccount=chosen)["serviceAccountName"] == used


def test_common_labels_are_on_everything_and_select_nothing(tmp_path: Path) -> None:
    """An object would miss in somebody's bill or policy, or an upgrade fail: selectors and claims do not change."""
    everything = {
        name: {"enabled": True} for name in ("serviceMonitor", "podMonitor", "prometheusRule", "dashboards", "ingress")
    }
    everything |= {"httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]}}
    everything["ingress"] |= {"hosts": ["relay.example.com"]}
    everything |= {"autoscaling": {"enabled": True}, "allowRepeats": True}
    manifests = rendered_with(tmp_path, commonLabels={"team": "media"}, **everything)
    assert len(manifests) >= 14
    for manifest in manifests:
        assert manifest["metadata"]["labels"]["team"] == "media", manifest["kind"]
    (stateful,) = of_kind(manifests, "StatefulSet")
    assert stateful["spec"]["template"]["metadata"]["labels"]["team"] == "media"
    assert "team" not in stateful["spec"]["selector"]["matchLabels"]
    assert "team" not in stateful["spec"]["volumeClaimTemplates"][0]["metadata"]["labels"]


def test_the_more_special_label_counts(tmp_path: Path) -> None:
    """A label that is given twice would make a manifest that Helm or the API refuses."""
    given = {"team": "media", "release": "one"}
    manifests = rendered_with(
        tmp_path,
        commonLabels=given,
        podLabels={"team": "video"},
        podMonitor={"enabled": True, "labels": {"release": "prometheus"}},
    )
    (stateful,) = of_kind(manifests, "StatefulSet")
    assert stateful["spec"]["template"]["metadata"]["labels"].items() >= {"team": "video", "release": "one"}.items()
    (monitor,) = of_kind(manifests, "PodMonitor")
    assert monitor["metadata"]["labels"].items() >= {"team": "media", "release": "prometheus"}.items()


@pytest.mark.parametrize("value", ["commonLabels", "podLabels"])
@pytest.mark.parametrize("label", RESERVED)
def test_a_label_by_which_pods_are_found_is_refused(value: str, label: str, tmp_path: Path) -> None:
    """Services would select no pod, or Helm would not know its own objects again."""
    assert f"{value} sets {label}, which is the chart's own" in refusal_of(tmp_path, **{value: {label: "x"}})


# -- containers ------------------------------------------------------------------------------------------------------


def test_containers_and_environment_are_added_beside_the_relay(tmp_path: Path) -> None:
    """A sidecar would take the relay's place, or a variable override the identity."""
    extra = {
        "extraInitContainers": [{"name": "wait", "image": "busybox:1"}],
        "extraContainers": [{"name": "agent", "image": "agent:1"}],
        "extraEnvFrom": [{"secretRef": {"name": "relay-env"}}],
    }
    pod = pod_with(tmp_path, **extra)
    assert pod["initContainers"] == extra["extraInitContainers"]
    assert [each["name"] for each in pod["containers"]] == ["relay", "agent"]
    assert pod["containers"][0]["envFrom"] == extra["extraEnvFrom"]
    assert pod["containers"][0]["env"][0]["name"] == "RELAY_IDENTITY", "env takes precedence over envFrom"


def test_a_log_is_the_relays_unless_another_is_asked_for(tmp_path: Path) -> None:
    """Beside a sidecar, `kubectl logs` and `kubectl exec` would ask which container is meant."""
    annotations = stateful_with(tmp_path)["spec"]["template"]["metadata"]["annotations"]
    assert annotations["kubectl.kubernetes.io/default-container"] == "relay"


def test_the_timing_of_probes_is_settable_and_their_address_is_not(tmp_path: Path) -> None:
    """A slow disk could not be waited for; a probe of something else would restart pods for a broker's outage."""
    relay = relay_with(tmp_path, startupProbe={"failureThreshold": 900}, livenessProbe={"timeoutSeconds": 9})
    assert relay["startupProbe"] == {
        "httpGet": {"path": "/livez", "port": "admin"},
        "periodSeconds": 2,
        "failureThreshold": 900,
    }
    assert relay["livenessProbe"]["timeoutSeconds"] == 9
    assert relay["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "admin"}
    assert "httpGet" in refusal_of(tmp_path, livenessProbe={"httpGet": {"path": "/"}})
    assert "livenessProbe" not in relay_with(tmp_path, livenessProbe=None)


def test_kubelet_and_prometheus_speak_tls_with_an_admin_listener_that_does(tmp_path: Path) -> None:
    """Every pod would be killed by its probes, and nobody scrape it."""
    tls = {"cert_file": "/etc/relay/tls/tls.crt", "key_file": "/etc/relay/tls/tls.key"}
    trusting = {"ca": {"secret": {"name": "relay-tls", "key": "ca.crt"}}, "serverName": "relay"}
    monitor = {"enabled": True, "tlsConfig": trusting}
    manifests = rendered_with(tmp_path, config={"admin": {"tls": tls}}, serviceMonitor=monitor, podMonitor=monitor)
    (stateful,) = of_kind(manifests, "StatefulSet")
    (relay,) = stateful["spec"]["template"]["spec"]["containers"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert relay[probe]["httpGet"]["scheme"] == "HTTPS"
    (service,) = of_kind(manifests, "ServiceMonitor")
    (pod,) = of_kind(manifests, "PodMonitor")
    for (endpoint,) in (service["spec"]["endpoints"], pod["spec"]["podMetricsEndpoints"]):
        assert (endpoint["scheme"], endpoint["tlsConfig"]) == ("https", trusting)


# -- volumes ---------------------------------------------------------------------------------------------------------


def test_volumes_stay_unless_somebody_wants_them_gone(tmp_path: Path) -> None:
    """Events that are not published yet would go with a volume that nobody asked to delete."""
    kept = stateful_with(tmp_path)["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert kept == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    chosen = {"retentionPolicy": {"whenDeleted": "Delete"}}
    gone = stateful_with(tmp_path, persistence=chosen)["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert gone == {"whenDeleted": "Delete", "whenScaled": "Retain"}
    assert "DELETED VOLUMES" not in notes(tmp_path)
    assert "DELETED VOLUMES" in notes(tmp_path, persistence=chosen)
    assert "persistentVolumeClaimRetentionPolicy" not in stateful_with(tmp_path, persistence={"enabled": False})["spec"]


# -- the network -----------------------------------------------------------------------------------------------------


def egress_with(folder: Path, **egress: Any) -> list[Manifest]:
    (policy,) = of_kind(rendered_with(folder, networkPolicy={"egress": egress}), "NetworkPolicy")
    rules: list[Manifest] = policy["spec"]["egress"]
    return rules


def ports_of(rule: Manifest) -> list[int]:
    return [port["port"] for port in rule["ports"]]


def test_egress_is_limited_to_named_addresses(tmp_path: Path) -> None:
    """Who names the brokers would have to write every other rule as well, or leave all of the network open."""
    brokers = [{"ipBlock": {"cidr": "10.1.0.0/24"}}]
    rules = {tuple(ports_of(rule)): rule.get("to") for rule in egress_with(tmp_path, kafka={"to": brokers}, redis=None)}
    assert rules == {(53, 53): None, (443,): None, (9092, 9093): brokers}


def test_a_port_of_ones_own_is_one_line(tmp_path: Path) -> None:
    """Traces to a collector would cost a copy of all the rules."""
    rules = egress_with(tmp_path, collector={"ports": [4317]}, proxy={"to": [{"podSelector": {}}]})
    assert {"ports": [{"port": 4317, "protocol": "TCP"}]} in rules
    assert {"to": [{"podSelector": {}}]} in rules, "without ports: all of them"
    assert {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]} in rules


def test_a_rule_that_names_nothing_is_refused(tmp_path: Path) -> None:
    """It would open everything, which nobody means by an empty rule."""
    assert "networkPolicy.egress.kafka names neither ports nor to" in refusal_of(
        tmp_path, networkPolicy={"egress": {"kafka": {"ports": []}}}
    )


def test_a_route_and_an_ingress_stand_beside_each_other(tmp_path: Path) -> None:
    """Who moves from one to the other could not have both for a while, or would not learn the address."""
    values = {
        "ingress": {"enabled": True, "hosts": ["old.example.com"]},
        "httpRoute": {
            "enabled": True,
            "parentRefs": [{"name": "public"}],
            "hostnames": ["new.example.com"],
            "annotations": {"example.com/owner": "media"},
        },
    }
    manifests = rendered_with(tmp_path, **values)
    assert of_kind(manifests, "Ingress")
    (route,) = of_kind(manifests, "HTTPRoute")
    assert route["metadata"]["annotations"] == {"example.com/owner": "media"}
    text = notes(tmp_path, **values)
    assert "https://old.example.com/webhooks/novita/<token>" in text
    assert "https://new.example.com/webhooks/novita/<token>" in text


def test_alerts_and_dashboard_lead_to_the_runbook(tmp_path: Path) -> None:
    """Somebody who is woken would have a file's name, and look for the file."""
    address = "https://docs.example.com/runbook"
    on = {"prometheusRule": {"enabled": True}, "dashboards": {"enabled": True}}
    manifests = rendered_with(tmp_path, runbookUrl=address, **on)
    (rules,) = of_kind(manifests, "PrometheusRule")
    (dashboard,) = (each for each in of_kind(manifests, "ConfigMap") if "relay.json" in each["data"])
    alerts = [rule for group in rules["spec"]["groups"] for rule in group["rules"] if "alert" in rule]
    assert len(alerts) > 20
    for alert in alerts:
        assert alert["annotations"]["runbook_url"] == f"{address}#{alert['alert'].lower()}"
    shown = json.loads(dashboard["data"]["relay.json"])
    assert [each["query"] for each in shown["templating"]["list"] if each["name"] == "runbook"] == [address]

    (rules,) = of_kind(rendered_with(tmp_path, **on), "PrometheusRule")
    plain = [rule for group in rules["spec"]["groups"] for rule in group["rules"] if rule.get("alert") == "RelayDown"]
    assert [alert["annotations"]["runbook"] for alert in plain] == ["docs/runbook.md#relaydown"]
