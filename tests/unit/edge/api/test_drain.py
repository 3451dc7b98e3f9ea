"""``/v1/drain`` as its callers see it. What a drain does is in tests/integration/test_drain_running.py."""

from __future__ import annotations

import pytest

from relay.edge.api.drain import Drainable, DrainRoutes, DrainState
from relay.edge.intake import Intake
from tests.services.raw_http import ask, post
from tests.unit.edge.serving import api


class Noted(Drainable):
    """A drain that only notes what it is asked for."""

    def __init__(self, *, ending: bool = False) -> None:
        self.since: int | None = None
        self.asked: list[float] = []
        self._ending = ending

    @property
    def state(self) -> DrainState:
        return "none" if self.since is None else "draining"

    def begin(self, accept_for: float) -> None:
        self.since = 1_700_000_000_000
        self.asked.append(accept_for)

    def cancel(self) -> bool:
        if not self._ending:
            self.since = None
        return not self._ending


@pytest.mark.parametrize(("query", "seconds"), [("", 10.0), ("?accept_for=0", 0.0), ("?accept_for=1h", 3600.0)])
async def test_it_begins_and_is_taken_back(query: str, seconds: float) -> None:
    """A relay would refuse deliveries before its balancer has noticed, or could not be used again."""
    drain = Noted()
    routes = DrainRoutes(lambda: drain, Intake())
    async with api({"POST /v1/drain": routes.begin, "DELETE /v1/drain": routes.cancel}) as url:
        begun = (await ask(url, post(f"/v1/drain{query}"))).json
        assert begun == {
            "state": "draining",
            "since": "2023-11-14T22:13:20.000Z",
            "accepting": True,
            "accepting_chats": True,
        }
        assert drain.asked == [seconds]
        back = (await ask(url, post("/v1/drain", method="DELETE"))).json
        assert (back["state"], back["since"]) == ("none", None)


async def test_a_relay_that_ends_cannot_be_called_back() -> None:
    """Somebody would believe that it goes on."""
    routes = DrainRoutes(lambda: Noted(ending=True), Intake())
    async with api({"DELETE /v1/drain": routes.cancel}) as url:
        refused = await ask(url, post("/v1/drain", method="DELETE"))
    assert (refused.status, refused.code) == (503, "draining")
