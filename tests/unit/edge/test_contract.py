"""The documents over HTTP."""

from __future__ import annotations

from relay.edge.contract import ContractRoutes
from tests.services.raw_http import ask, get
from tests.unit.edge.serving import routed


async def test_the_document_is_there_without_a_token_and_made_once() -> None:
    """A consumer's tools could not load it, or each load would cost the relay's loop the making of it."""
    made: list[bytes] = []

    def document() -> bytes:
        made.append(b'{"asyncapi": "3.0.0"}')
        return made[-1]

    async with routed(ContractRoutes(document).add_to) as url:
        replies = [await ask(url, get("/asyncapi.json")) for _ in range(2)]
        assert [(reply.status, reply.json) for reply in replies] == [(200, {"asyncapi": "3.0.0"})] * 2
        assert replies[0].headers["content-type"] == "application/json"
        assert (await ask(url, get("/asyncapi.json", method="POST"))).json["code"] == "method_not_allowed"
    assert len(made) == 1
