"""The OpenAPI document against its official validator and a running relay: its routes, and its answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp.web_urldispatcher import Resource
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator

from relay.apis import apis
from relay.contract.examples import FAILED, SUCCEEDED
from relay.contract.openapi import openapi
from relay.contract.schemas import schemas
from relay.edge.proxy.apis import Apis
from relay.edge.webhooks import PREFIX
from tests.integration.bridge import TOKEN, Answer, Bridge

DOCUMENT = orjson.loads(orjson.dumps(openapi("1.2.3")))
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Bridge]:
    """A relay without a sink."""
    relay = Bridge(tmp_path)
    await relay.start()
    yield relay
    await relay.stop()


def hold(answer: Answer, method: str, path: str) -> None:
    """Fails unless the document describes this answer to this operation."""
    content = DOCUMENT["paths"][path][method]["responses"][str(answer.status)]["content"]
    schema = content[answer.headers["Content-Type"].partition(";")[0]]["schema"]
    whole = {**schema, "components": DOCUMENT["components"]}
    Draft202012Validator(whole, format_checker=FormatChecker()).validate(answer.body)


def test_the_official_validator_finds_no_fault() -> None:
    """Generators and viewers of OpenAPI would refuse the contract."""
    assert [str(error) for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


def test_the_official_validator_finds_a_fault_that_is_there() -> None:
    """The test above would pass whatever the document says."""
    route = deepcopy(DOCUMENT["paths"]["/v1/tasks/{id}"])
    del route["parameters"]
    broken = {**DOCUMENT, "paths": {"/v1/tasks/{id}": route}}
    assert list(OpenAPIV31SpecValidator(broken).iter_errors())


async def test_the_routes_are_those_of_the_application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A route would be described nowhere, or one described that is not there."""
    registered: set[tuple[str, str]] = set()
    add_route = Resource.add_route

    def noted(self: Resource, method: str, *args: Any, **kwargs: Any) -> Any:
        registered.add((method.lower(), self.canonical))
        return add_route(self, method, *args, **kwargs)

    monkeypatch.setattr(Resource, "add_route", noted)
    relay = Bridge(tmp_path)
    await relay.start()
    await relay.stop()
    described = {
        (method, path)
        for path, operations in DOCUMENT["paths"].items()
        for method in operations.keys() & METHODS
        if not Apis(apis()).proxied(path) and not f"{path}/".startswith(PREFIX)
    }
    assert described == {(method, path) for method, path in registered if method != "head"}


async def test_answers_are_as_described(relay: Bridge) -> None:
    """A generated client would fail to read what the relay answers."""
    for result in (SUCCEEDED, SUCCEEDED, FAILED, {"task": {"task_id": "t1", "status": "NO_SUCH"}}):
        hold(await relay.deliver(orjson.dumps(result)), "post", "/webhooks/novita/{token}")
    hold(await relay.request("GET", "/v1/events?limit=2"), "get", "/v1/events")
    hold(await relay.request("POST", "/v1/tasks", json={"task_id": "t2"}), "post", "/v1/tasks")
    hold(await relay.request("POST", "/v1/tasks", json={"task_id": "t2"}), "post", "/v1/tasks")
    hold(await relay.request("GET", "/v1/tasks"), "get", "/v1/tasks")
    task_id = SUCCEEDED["task"]["task_id"]
    hold(await relay.request("GET", f"/v1/tasks/{task_id}"), "get", "/v1/tasks/{id}")
    for subject in (task_id, "t2", "t1"):
        hold(await relay.request("GET", f"/v1/subjects/{subject}"), "get", "/v1/subjects/{subject}")
    hold(await relay.request("GET", "/v1/subjects?prefix=t"), "get", "/v1/subjects")
    hold(await relay.request("GET", "/v1/tasks?state=overdue"), "get", "/v1/tasks")
    hold(await relay.request("GET", "/v1/chats"), "get", "/v1/chats")
    hold(await relay.request("GET", "/v1/status"), "get", "/v1/status")
    hold(await relay.request("GET", "/v1/trends"), "get", "/v1/trends")
    letters = await relay.request("GET", "/v1/dead-letters")
    hold(letters, "get", "/v1/dead-letters")
    (letter,) = letters.body["dead_letters"]
    path = f"/v1/dead-letters/{letter['id']}"
    hold(await relay.request("GET", path), "get", "/v1/dead-letters/{id}")
    refused = await relay.request("POST", f"{path}/replay")
    assert refused.status == 409
    hold(refused, "post", "/v1/dead-letters/{id}/replay")
    assert (await relay.request("DELETE", path)).status == 204


@pytest.mark.parametrize(
    ("method", "path", "described", "status"),
    [
        ("POST", "/webhooks/novita/wrong", "/webhooks/novita/{token}", 401),
        ("POST", f"/webhooks/novita/{TOKEN}", "/webhooks/novita/{token}", 400),
        ("GET", "/v1/events?limit=0", "/v1/events", 400),
        ("GET", "/v1/events?type=nonsense", "/v1/events", 400),
        ("GET", "/v1/subjects", "/v1/subjects", 400),
        ("GET", "/v1/tasks/none", "/v1/tasks/{id}", 404),
        ("GET", "/v1/subjects/none", "/v1/subjects/{subject}", 404),
        ("GET", "/v1/chats?limit=x", "/v1/chats", 400),
        ("DELETE", "/v1/dead-letters/none", "/v1/dead-letters/{id}", 404),
        ("GET", "/schemas/none.json", "/schemas/{name}", 404),
    ],
)
async def test_refusals_are_as_described(relay: Bridge, method: str, path: str, described: str, status: int) -> None:
    """A client could not distinguish refusals by their codes."""
    answer = await relay.request(method, path)
    assert answer.status == status
    hold(answer, method.lower(), described)


async def test_the_documents_are_served(relay: Bridge) -> None:
    """A consumer would read another contract from the relay than the one that is tested."""
    served = (await relay.request("GET", "/openapi.json")).body
    assert served["paths"] == DOCUMENT["paths"]
    for name, schema in schemas().items():
        assert (await relay.request("GET", f"/schemas/{name}.json")).body == schema
