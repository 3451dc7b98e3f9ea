"""What the registry's watch says of the events that a sink has not got yet; the rest of it: tests/integration."""

from __future__ import annotations

import time
from pathlib import Path

from relay.core.clock import rfc3339
from relay.reconciler.watch import EXPIRES_SOON, TaskReconciliation
from relay.settings import Settings
from relay.settings.model import UpstreamSettings
from relay.sources.novita_task import NovitaTask
from relay.telemetry.signals.tasks import TaskSignals
from relay.telemetry.signals.upstream import UpstreamSignals
from relay.telemetry.telemetry import Telemetry
from relay.upstream import Upstream
from tests.unit.drafts import draft
from tests.unit.edge.serving import opened
from tests.unit.telemetry.readings import values


async def test_outputs_that_a_sink_may_get_too_late_are_counted(tmp_path: Path) -> None:
    """The alert would stay silent while links die that nobody has fetched, or sound for links that live on."""
    telemetry, now = Telemetry(), time.time_ns() // 1_000_000
    settings = Settings.model_validate({"sinks": [{"type": "redis"}, {"type": "kafka"}]})
    async with opened(tmp_path, "redis", "kafka") as journal:
        upstream = Upstream(UpstreamSettings(base_url="http://127.0.0.1:1"))
        watch = TaskReconciliation(
            settings, journal, upstream, NovitaTask(), TaskSignals(telemetry, UpstreamSignals(telemetry))
        )
        for place, seconds in enumerate([-60, 60, EXPIRES_SOON - 60, EXPIRES_SOON + 60, 3600]):
            data = b'{"outputs":[{"expires_at":"%b"}]}' % rfc3339(now + seconds * 1000).encode()
            await journal.append(draft(str(place), data=data))
        await journal.append(draft("without outputs"))
        journal.progress.advance("kafka", 2, published=2, dead=0)
        await watch.update_gauges()
        await upstream.close()
    assert values(telemetry, "relay_publish_lag_expiring_events") == {("redis",): 3, ("kafka",): 1}
