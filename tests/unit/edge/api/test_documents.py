"""The documents over HTTP."""

from __future__ import annotations

from relay.edge.api.documents import ContractRoutes
from tests.services.raw_http import ask, get
from tests.unit.edge.serving import routed

PATHS = ("/asyncapi.json", "/openapi.json", "/schemas/task.json")


async def test_the_documents_are_there_without_a_token_and_made_once() -> None:
    """A consumer's tools could not load them, or each load would cost the relay's loop the making of it."""
    made: list[str] = []

    def document(name: str) -> bytes:
        made.append(name)
        return b'{"name": "%b"}' % name.encode()

    routes = ContractRoutes(
        lambda: document("asyncapi"), lambda: document("openapi"), lambda: {"task": document("schema")}
    )
    async with routed(routes.routes()) as url:
        replies = [await ask(url, get(path)) for path in PATHS * 2]
        assert [(reply.status, reply.json["name"]) for reply in replies] == [
            (200, "asyncapi"),
            (200, "openapi"),
            (200, "schema"),
        ] * 2
        assert replies[0].headers["content-type"] == "application/json"
        assert replies[2].headers["content-type"] == "application/schema+json"
        assert (await ask(url, get("/schemas/tusk.json"))).json["code"] == "not_found"
        assert (await ask(url, get("/asyncapi.json", method="POST"))).json["code"] == "method_not_allowed"
    assert sorted(made) == ["asyncapi", "openapi", "schema"]
