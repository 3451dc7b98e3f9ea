"""Writes the Grafana dashboard: ``python -m deploy.dashboards``. A test compares the committed file with it.

Six rows, each a question of the reader: is anything lost or late, how fast, what flows, who spends, are outputs kept,
is it healthy.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deploy.render import CHART

FILE = CHART / "dashboards" / "relay.json"
_SOURCE = {"type": "prometheus", "uid": "${source}"}
_MINE = 'namespace=~"$namespace", job=~"$job", instance=~"$instance"'


@dataclass(frozen=True)
class Panel:
    """One panel. ``queries``: PromQL with the legend of its series; ``$mine`` stands for the chosen replicas.

    ``alert``: the one that fires when this looks bad; the panel links to its entry in the runbook.
    """

    title: str
    what: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    kind: str = "timeseries"
    bad_above: float | None = None
    stacked: bool = False
    alert: str = ""


def _quantiles(metric: str, by: str = "") -> list[tuple[str, str]]:
    labels, legend = (f"{by}, le", f" {{{{{by}}}}}") if by else ("le", "")
    return [
        (
            f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{{$mine}}[$__rate_interval])))",
            f"p{name}{legend}",
        )
        for q, name in ((0.5, "50"), (0.99, "99"))
    ]


def _rate(metric: str, by: str, selector: str = "$mine") -> list[tuple[str, str]]:
    legend = " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(","))
    return [(f"sum by ({by}) (rate({metric}{{{selector}}}[$__rate_interval]))", legend)]


ROWS: dict[str, list[Panel]] = {
    "Is anything lost or late?": [
        Panel(
            "Unaccounted for",
            "Accepted minus published, pending, dead and absorbed. Anything but 0 is a bug.",
            [
                (
                    "sum by (sink) (relay_sink_events_accepted{$mine} - ignoring(state) sum without (state)"
                    " (relay_sink_events{$mine}))",
                    "{{sink}}",
                )
            ],
            kind="stat",
            bad_above=0.5,
            alert="RelayLossBalanceBroken",
        ),
        Panel(
            "Oldest unpublished event",
            "Links to outputs are valid for about an hour.",
            [("max by (sink) (relay_publish_lag_seconds{$mine})", "{{sink}}")],
            unit="s",
            kind="stat",
            bad_above=900,
            alert="RelayPublishingLate",
        ),
        Panel(
            "Dead letters held",
            "Waiting for somebody to replay or delete them: relay dead-letters list.",
            [("sum(relay_dead_letters_held{$mine})", "held")],
            kind="stat",
            bad_above=0.5,
            alert="RelayDeadLettersGrowing",
        ),
        Panel(
            "Expiring outputs, unpublished",
            "Events that a sink has not received yet, and whose outputs expire soon or have expired.",
            [("sum by (sink) (relay_publish_lag_expiring_events{$mine})", "{{sink}}")],
            kind="stat",
            bad_above=0.5,
            alert="RelayOutputsExpiring",
        ),
        Panel(
            "Waiting to be published",
            "Events in the journal that the sink has not received yet.",
            [("sum by (sink) (relay_publish_lag_events{$mine})", "{{sink}}")],
        ),
        Panel(
            "Where the events are",
            "All events since the journals were created, by state.",
            [("sum by (sink, state) (relay_sink_events{$mine})", "{{sink}} {{state}}")],
        ),
        Panel(
            "Publish failures",
            "Failed batches, by code.",
            _rate("relay_publish_failures_total", "sink, code"),
            unit="ops",
        ),
        Panel("New dead letters", "By reason.", _rate("relay_dead_letters_total", "reason"), unit="ops"),
    ],
    "How fast?": [
        Panel(
            "Webhook acknowledgement",
            "From the request headers to the answer, including the fsync. The upstream waits 5 s.",
            _quantiles("relay_webhook_ack_seconds"),
            unit="s",
            alert="RelayAckBudgetBurnsFast",
        ),
        Panel(
            "Accepted to published",
            "From acceptance to the sink's acknowledgement.",
            _quantiles("relay_end_to_end_seconds", "sink"),
            unit="s",
            alert="RelayPublishBudgetBurnsFast",
        ),
        Panel(
            "First token",
            "From a chat request to its first token, by model.",
            _quantiles("relay_chat_first_token_seconds", "model"),
            unit="s",
        ),
        Panel(
            "Chat overhead",
            "The time that relay adds before the first byte.",
            _quantiles("relay_chat_overhead_seconds"),
            unit="s",
        ),
        Panel("Chat duration", "From the request to its end.", _quantiles("relay_chat_duration_seconds"), unit="s"),
        Panel(
            "Group commit",
            "Including the fsync.",
            _quantiles("relay_journal_commit_seconds"),
            unit="s",
            alert="RelayFsyncSlow",
        ),
    ],
    "What flows?": [
        Panel(
            "Deliveries",
            "By result.",
            _rate("relay_deliveries_total", "result"),
            unit="ops",
            stacked=True,
            alert="RelayDeliveriesRejected",
        ),
        Panel(
            "Published", "By sink and topic.", _rate("relay_published_total", "sink, topic"), unit="ops", stacked=True
        ),
        Panel(
            "Chats ended",
            "By API, outcome and reason.",
            _rate("relay_chats_total", "api, outcome, reason"),
            unit="ops",
            stacked=True,
            alert="RelayChatsFailing",
        ),
        Panel("Open chats", "Now.", [("sum(relay_chats_active{$mine})", "open")]),
        Panel(
            "Irregular answers",
            "Chats whose answer was not as its API has it, by what was wrong.",
            _rate("relay_chats_irregular_total", "api, irregularity"),
            unit="ops",
        ),
        Panel(
            "Tokens",
            "As the upstream reported them.",
            _rate("relay_chat_tokens_total", "kind"),
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Submissions",
            "By result.",
            _rate("relay_submissions_total", "result"),
            unit="ops",
            stacked=True,
            alert="RelaySubmissionsUnrecorded",
        ),
        Panel(
            "Tasks",
            "Registered tasks that have not ended, and polls that are overdue.",
            [("sum(relay_tasks_pending{$mine})", "pending"), ("sum(relay_tasks_overdue{$mine})", "overdue")],
            alert="RelayTasksOverdue",
        ),
        Panel("Polls", "By result.", _rate("relay_polls_total", "result"), unit="ops", stacked=True),
    ],
    "Who spends what?": [
        *(
            Panel(
                f"Tokens by {title}",
                "Input and output, as the upstream reported them.",
                _rate("relay_chat_tokens_total", label, '$mine, kind=~"input|output"'),
                unit="ops",
                stacked=True,
            )
            for label, title in (("client", "client"), ("model", "model"), ("api", "API"))
        ),
        Panel(
            "Tokens in the last day",
            "By client and model.",
            [
                (
                    'sum by (client, model) (increase(relay_chat_tokens_total{$mine, kind=~"input|output"}[1d]))',
                    "{{client}} {{model}}",
                )
            ],
        ),
        Panel(
            "Refused for a limit",
            "By client, and the limit that it has used up.",
            _rate("relay_clients_limited_total", "client, limit"),
            unit="ops",
            stacked=True,
        ),
    ],
    "Are outputs kept?": [
        Panel(
            "Lost outputs",
            "In the chosen time. Their events say why.",
            [('sum(increase(relay_outputs_total{$mine, result="lost"}[$__range]))', "lost")],
            kind="stat",
            bad_above=0.5,
            alert="RelayOutputsLost",
        ),
        Panel(
            "Nearest deadline",
            "Until the next link of a waiting output ends. Empty while none waits.",
            [("min(relay_outputs_nearest_deadline_seconds{$mine})", "nearest")],
            unit="s",
            kind="stat",
            alert="RelayOutputsLate",
        ),
        Panel("Waiting outputs", "Not archived yet.", [("sum(relay_outputs_waiting{$mine})", "waiting")]),
        Panel(
            "Archived bytes",
            "As they are in the store.",
            [("sum(rate(relay_outputs_bytes_total{$mine}[$__rate_interval]))", "archived")],
            unit="Bps",
        ),
        Panel("Outputs", "By how they ended.", _rate("relay_outputs_total", "result"), unit="ops"),
        Panel("Failed tries", "By reason.", _rate("relay_outputs_failures_total", "reason"), unit="ops"),
        Panel(
            "From a task's end to its archived output",
            "What waiting, fetching and storing took together.",
            _quantiles("relay_outputs_seconds"),
            unit="s",
        ),
    ],
    "Is it healthy?": [
        Panel(
            "Accepting",
            "1 while relay accepts deliveries.",
            [("relay_up{$mine}", "{{instance}}")],
            alert="RelayNotAccepting",
        ),
        Panel(
            "Sinks",
            "1 while the sink accepts events.",
            [("relay_sink_up{$mine}", "{{instance}} {{sink}}")],
            alert="RelaySinkDown",
        ),
        Panel(
            "Upstream",
            "1 while it answers; 0 if it is unreachable, or refuses or fails polls.",
            [("relay_upstream_up{$mine}", "{{instance}}")],
            alert="RelayUpstreamDown",
        ),
        Panel(
            "Journal",
            "Bytes in use, and free space on the disk.",
            [
                ("relay_journal_bytes{$mine}", "{{instance}} used"),
                ("relay_journal_disk_free_bytes{$mine}", "{{instance}} free"),
            ],
            unit="bytes",
            alert="RelayJournalDiskFilling",
        ),
        Panel("Events in the journal", "Published or not.", [("relay_journal_events{$mine}", "{{instance}}")]),
        Panel(
            "Deliveries in a commit",
            "Groups grow with the load, so the rate of fsyncs does not.",
            _quantiles("relay_journal_commit_events"),
        ),
        Panel(
            "Event loop delay",
            "The longest delay between two scrapes.",
            [("relay_event_loop_delay_seconds{$mine}", "{{instance}}")],
            unit="s",
            alert="RelayEventLoopBlocked",
        ),
        Panel("Memory", "Resident memory.", [("process_resident_memory_bytes{$mine}", "{{instance}}")], unit="bytes"),
        Panel(
            "CPU",
            "In cores; one relay uses one at most.",
            [("rate(process_cpu_seconds_total{$mine}[$__rate_interval])", "{{instance}}")],
        ),
        Panel("Open descriptors", "Open connections and files.", [("process_open_fds{$mine}", "{{instance}}")]),
    ],
}


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS.items():
        panels.append(_row(len(panels) + 1, title, y))
        y += 1
        stats = [panel for panel in row if panel.kind == "stat"]
        plots = [panel for panel in row if panel.kind != "stat"]
        for n, panel in enumerate(stats):
            panels.append(_panel(len(panels) + 1, panel, 24 // len(stats) * n, y, 24 // len(stats), 4))
        y += 4 if stats else 0
        for n, panel in enumerate(plots):
            panels.append(_panel(len(panels) + 1, panel, n % 3 * 8, y + n // 3 * 8, 8, 8))
        y += -(-len(plots) // 3) * 8
    return {
        "title": "relay",
        "uid": "relay",
        "description": "Is anything lost or late? How fast is relay? What flows? Who spends what? Are outputs kept? "
        "Is it healthy?",
        "tags": ["relay"],
        "editable": True,
        "graphTooltip": 1,
        "schemaVersion": 41,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                _source(),
                _choice("namespace", "Namespace", "relay_build_info", may_be_missing=True),
                _choice("job", "Job", 'relay_build_info{namespace=~"$namespace"}'),
                _choice("instance", "Replica", 'relay_build_info{namespace=~"$namespace", job=~"$job"}'),
                _runbook(),
            ]
        },
        "annotations": {"list": [_restarts()]},
        "links": [_link("Runbook", "${runbook}")],
        "panels": panels,
    }


def _source() -> dict[str, Any]:
    return {"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus"}


def _choice(label: str, title: str, series: str, *, may_be_missing: bool = False) -> dict[str, Any]:
    """A variable over the values of a label; "All" is all of them, and not those of others that are scraped too."""
    variable = {
        "name": label,
        "label": title,
        "type": "query",
        "datasource": _SOURCE,
        "query": f"label_values({series}, {label})",
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "current": {"text": "All", "value": "$__all"},
    }
    return variable | {"allValue": ".*"} if may_be_missing else variable


def _runbook() -> dict[str, Any]:
    """Where the links lead; the chart fills it in (``runbookUrl``)."""
    return {"name": "runbook", "label": "Address of the runbook", "type": "textbox", "query": "", "hide": 2}


def _restarts() -> dict[str, Any]:
    """A mark at each start of a relay."""
    started = f"process_start_time_seconds{{{_MINE}}} and on (instance) relay_build_info{{{_MINE}}}"
    return {
        "name": "Restarts",
        "datasource": _SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": "orange",
        "expr": f"1000 * ({started})",
        "useValueForTime": "on",
        "titleFormat": "{{instance}} started",
    }


def _row(number: int, title: str, y: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": "row",
        "title": title,
        "collapsed": False,
        "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
        "panels": [],
    }


def _panel(number: int, panel: Panel, x: int, y: int, width: int, height: int) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.bad_above is not None:
        steps.append({"color": "red", "value": panel.bad_above})
    custom = {"fillOpacity": 20, "stacking": {"mode": "normal", "group": "A"}} if panel.stacked else {}
    shown: dict[str, Any] = (
        {"colorMode": "background", "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
        if panel.kind == "stat"
        else {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    )
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.what,
        "datasource": _SOURCE,
        "gridPos": {"x": x, "y": y, "w": width, "h": height},
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "custom": custom, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "options": shown,
        "links": _links(panel.alert),
        "targets": [
            {"refId": chr(65 + n), "datasource": _SOURCE, "expr": query.replace("$mine", _MINE), "legendFormat": legend}
            for n, (query, legend) in enumerate(panel.queries)
        ],
    }


def _links(alert: str) -> list[dict[str, Any]]:
    return [_link(alert, f"${{runbook}}#{alert.lower()}")] if alert else []


def _link(title: str, url: str) -> dict[str, Any]:
    plain = dict.fromkeys(("asDropdown", "includeVars", "keepTime"), False)
    return {
        "title": title,
        "type": "link",
        "url": url,
        "tooltip": "",
        "icon": "doc",
        "targetBlank": True,
        "tags": [],
    } | plain


def main() -> None:
    """Writes the file."""
    FILE.write_text(json.dumps(dashboard(), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
