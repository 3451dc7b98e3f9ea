"""The OpenAPI document; ``tests/contract/test_openapi.py`` holds a running relay to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from jsonschema import Draft202012Validator

from relay.apis import apis
from relay.contract.openapi import openapi
from relay.edge.http.problems import KINDS
from relay.edge.proxy.apis import TASK_PREFIXES, Apis

DOCUMENT = orjson.loads(orjson.dumps(openapi("1.2.3")))
METHODS = {"get", "post", "put", "patch", "delete"}


def operations() -> Iterator[dict[str, Any]]:
    """All of them."""
    for path in DOCUMENT["paths"].values():
        yield from (operation for method, operation in path.items() if method in METHODS)


def codes_of(content: dict[str, Any]) -> list[str]:
    """The codes of a refusal, in either shape; none of another answer."""
    found: list[str] = []
    for of_type in content.values():
        schema = of_type.get("schema", {})
        properties = schema.get("anyOf", [schema])[0].get("properties", {})  # beside the upstream's own answers
        properties = properties.get("error", {}).get("properties", properties)
        found += properties.get("code", {}).get("enum", [])
    return found


def test_every_code_is_where_its_status_is_and_no_other() -> None:
    """A client would meet a refusal that is described nowhere, or wait for one that never comes."""
    statuses: dict[str, set[str]] = {}
    for operation in operations():
        for status, response in operation["responses"].items():
            for code in codes_of(response.get("content", {})):
                statuses.setdefault(code, set()).add(status)
    routers = {"method_not_allowed": {"405"}}
    assert statuses | routers == {code: {str(kind.status)} for code, kind in KINDS.items()}
    assert DOCUMENT["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == list(KINDS)


def test_every_prefix_that_is_proxied_is_described() -> None:
    """A client would not learn that a route of the upstream is there."""
    assert {f"{prefix}{{path}}" for prefix in (*Apis(apis()).prefixes, *TASK_PREFIXES)} <= DOCUMENT["paths"].keys()


def test_every_example_follows_its_schema() -> None:
    """A sender would be shown a body that the relay does not take."""
    examples = [
        (content["schema"], content["example"])
        for operation in operations()
        for content in operation.get("requestBody", {}).get("content", {}).values()
        if "example" in content
    ]
    assert len(examples) == 14
    for schema, example in examples:
        Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(example)
