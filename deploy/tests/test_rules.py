"""The alerts: valid, tested, explained, and about metrics that a relay really has."""

from __future__ import annotations

import re
import subprocess

import pytest
import yaml

from deploy.render import CHART, ROOT
from deploy.tests.exposed import names_in, of_a_fresh_relay

NAMES = ("relay", "relay-slo")
RULES = CHART / "rules" / "relay.rules.yaml"
TESTS = ROOT / "prometheus" / "relay.tests.yaml"
RUNBOOK = ROOT.parent / "docs" / "runbook.md"
WRITTEN = [
    rule
    for name in NAMES
    for group in yaml.safe_load((RULES.parent / f"{name}.rules.yaml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in WRITTEN if "alert" in rule]
RECORDED = {rule["record"] for rule in WRITTEN if "record" in rule}


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=300, check=False)


def test_the_rules_are_valid() -> None:
    """Prometheus would refuse to load them, all together."""
    result = promtool("check", "rules", *map(str, RULES.parent.iterdir()))
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_fires_when_it_must_and_only_then(name: str) -> None:
    """Somebody would be woken for nothing, or not at all."""
    result = promtool("test", "rules", str(TESTS.with_name(f"{name}.tests.yaml")))
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alert_is_tested_both_ways() -> None:
    """A new alert would go out untried."""
    files = (TESTS.with_name(f"{name}.tests.yaml") for name in NAMES)
    tests = [test for file in files for test in yaml.safe_load(file.read_text("utf-8"))["tests"]]
    names = [test["name"] for test in tests if "alert_rule_test" in test]
    assert names == [f"{alert['alert']} {ends}" for alert in ALERTS for ends in ("fires", "stays silent")]


def test_a_test_of_an_alert_can_fail(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """The tests above would pass whatever the rules say."""
    weakened = tmp_path / "relay.rules.yaml"
    weakened.write_text(RULES.read_text("utf-8").replace("relay_sink_up == 0", "relay_sink_up == 2"))
    tests = tmp_path / "tests.yaml"
    tests.write_text(TESTS.read_text("utf-8").replace("../helm/relay/rules/relay.rules.yaml", str(weakened)))
    assert "RelaySinkDown" in promtool("test", "rules", str(tests)).stderr


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_alert_says_what_to_do(alert: dict) -> None:  # type: ignore[type-arg]
    """The person who is woken would have to guess."""
    headings = re.findall(r"^## (\w+)$", RUNBOOK.read_text("utf-8"), re.MULTILINE)
    assert alert["alert"] in headings
    assert alert["annotations"]["runbook"] == f"docs/runbook.md#{alert['alert'].lower()}"
    assert alert["labels"]["severity"] in ("critical", "warning")


def test_the_runbook_has_no_entry_for_an_alert_that_is_gone() -> None:
    """It would send people after things that cannot happen."""
    headings = re.findall(r"^## (\w+)$", RUNBOOK.read_text("utf-8"), re.MULTILINE)
    assert headings == [alert["alert"] for alert in ALERTS]


async def test_every_metric_of_an_alert_and_of_the_runbook_is_one_of_the_relays(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """An alert on a metric that nobody exposes never fires."""
    exposed = await of_a_fresh_relay(tmp_path)
    for rule in WRITTEN:
        assert names_in(rule["expr"]) <= exposed, rule
        assert set(re.findall(r"relay:[a-z0-9_:]+", rule["expr"])) <= RECORDED, rule
    assert names_in(RUNBOOK.read_text("utf-8")) <= exposed
