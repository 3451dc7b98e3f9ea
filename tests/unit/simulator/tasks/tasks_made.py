"""Tasks for tests that need one and care about a part of it."""

from __future__ import annotations

from typing import Any

from relay.simulator.tasks.catalog import endpoint
from relay.simulator.tasks.faults import Fate
from relay.simulator.tasks.submission import Submission
from relay.simulator.tasks.task import SUCCEED, Life, Task

SUBMITTED_AT = 1_700_000_000_000


def make_task(
    name: str = "txt2img",
    *,
    fate: Fate | None = None,
    ends_in: str | None = SUCCEED,
    webhook: dict[str, Any] | None = None,
    style_seed: int = 1,
    outputs: int = 1,
) -> Task:
    made_by = endpoint(name, {})
    format = {"image": "png", "video": "mp4", "audio": "wav"}[made_by.kind]
    return Task(
        task_id="00000000-0000-4000-8000-000000000001",
        asked=Submission(f"/v3/async/{name}", made_by, "a kite", outputs, format, webhook, None, None),
        fate=fate or Fate(),
        life=Life(1.0, 4.0, ends_in),
        reason="worker error",
        style_seed=style_seed,
        submitted_at=SUBMITTED_AT,
        outputs_at="https://outputs.example",
    )
