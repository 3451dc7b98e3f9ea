"""Which part of the edge a request gets to."""

from __future__ import annotations

from pathlib import Path

from tests.services.raw_http import ask, get, post, wire
from tests.unit.edge.serving import PATH, TOKEN, gate, opened, receiving, task


async def test_deliveries_and_routes_each_get_to_their_place(tmp_path: Path) -> None:
    """Deliveries would end in the router, which does not know them."""
    async with opened(tmp_path) as journal, receiving(journal, gate(TOKEN)) as receiver:
        assert (await ask(receiver.url, post(PATH, task("a")))).json["event_id"] == "a:succeeded"
        absolute = f"http://relay.example{PATH}"
        assert (await ask(receiver.url, post(absolute, task("b")))).json["event_id"] == "b:succeeded"
        assert (await ask(receiver.url, post("/elsewhere"))).code == "not_found"


async def test_while_draining_each_answer_asks_to_close(tmp_path: Path) -> None:
    """Senders would keep the connections that are about to be cut, and lose what they send next."""
    async with opened(tmp_path) as journal, receiving(journal, gate(TOKEN)) as receiver:
        receiver.listener.server.draining = True
        for request in (post(PATH, task("a")), post("/webhooks/novita/wrong"), get("/nowhere")):
            async with wire(receiver.url) as connection:
                await connection.send(request)
                assert (await connection.answer()).headers["connection"] == "close"
                assert await connection.rest() == b""
