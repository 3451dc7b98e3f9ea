"""What schemathesis cannot know of the relay, as checks of it; loaded by ``SCHEMATHESIS_HOOKS``."""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis.generation import GenerationMode

_READ = ("accepted", "duplicate", "ignored")
_NEVER = (
    "POST /v1/dead-letters/{id}/replay",  # succeeds only once the letter's cause is fixed
    "POST /v1/outputs/{task_id}/{index}/retry",  # there is none
    "GET /v3/async/task-result",  # the upstream knows no id that is made up
)


@schemathesis.check
def deliveries(_: Any, response: Any, case: Any) -> None:
    """A delivery that the schema takes becomes an event; one that it does not take is refused or kept, never lost."""
    if case.method != "POST" or not case.path.startswith("/webhooks/") or case.meta is None:
        return
    status = response.json().get("status")
    if case.meta.generation.mode is GenerationMode.POSITIVE:
        assert status in _READ, f"the schema takes it, and the relay says {status}"
    else:
        assert status in (*_READ, "dead", 400, 401, 413, 415), f"the schema refuses it, and the relay says {status}"


@schemathesis.check
class Reached:
    """Each operation of the relay's own is seen to succeed: else all the rest would have been said of refusals."""

    def __init__(self) -> None:
        self._tried: set[str] = set()
        self._reached: set[str] = set()

    def after_response(self, _: Any, response: Any, case: Any) -> None:
        """Notes whether it succeeded."""
        if not case.path.endswith("{path}") and case.operation.label not in _NEVER:
            self._tried.add(case.operation.label)
            if response.status_code < 300:
                self._reached.add(case.operation.label)

    def after_run(self, _: Any) -> None:
        """Names what never did."""
        missed = sorted(self._tried - self._reached)
        assert not missed, f"never answered with success: {', '.join(missed)}"
