"""R4: the server has acted, and its reply never arrives."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.conftest import Proxied
from tests.faults.harness.matrix import Effort, Row
from tests.faults.harness.trial import Trial

RATE = 50


@pytest.mark.row("R4", "lost replies")
@pytest.mark.parametrize(
    ("kind", "request_kind"),
    [
        ("kafka", "EndTxn"),
        pytest.param("kafka", "Produce", marks=pytest.mark.matrix),
        pytest.param("redis", "publish", marks=pytest.mark.matrix),
        *(pytest.param("kafka-3.9", each, marks=pytest.mark.long) for each in ("EndTxn", "Produce")),
    ],
)
async def test_a_reply_that_is_lost_after_the_server_acted_doubles_nothing(
    kind: str, request_kind: str, proxied: Proxied, tmp_path: Path, row: Row, effort: Effort
) -> None:
    """Broken: P2 where it is hardest: what was committed, but not known to be, would be published again."""
    target, proxy = await proxied(kind)
    async with Trial(tmp_path, target, row=row, rate=RATE) as trial:
        await trial.acknowledged()
        for n in range(effort(short=3, full=25)):
            how = "blackhole" if n % 8 == 2 else "reset"
            proxy.drop(request_kind, how)
            await proxy.dropped()
            trial.injected(f"reply to {request_kind} dropped ({how})")
            await trial.published()  # or each failure in a row would wait longer than the one before
        await trial.settled()
        proxy.slicing = True
        trial.injected("time of 1-byte slices")
        await trial.acknowledged()
        await trial.settled()
        proxy.slicing = False
        await trial.conclude()
