"""``relay register-schemas`` with a real registry: it holds what relay publishes, and refuses what breaks."""

from __future__ import annotations

import json
import urllib.request
from itertools import count
from typing import Any

import orjson
import pytest
from jsonschema import Draft7Validator

from relay.contract.examples import events
from relay.contract.schemas import schemas, subjects
from tests.integration.test_cli import run

_numbers = count(1)


@pytest.fixture
def prefix() -> str:
    """A place in the shared registry that no other test has."""
    return f"t{next(_numbers)}."


def ask(registry: str, path: str, document: Any = None, method: str | None = None) -> Any:
    body = None if document is None else json.dumps(document).encode()
    headers = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
    request = urllib.request.Request(registry + path, body, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def register(registry: str, prefix: str, *more: str) -> list[dict[str, Any]]:
    done = run("register-schemas", registry, "--prefix", prefix, "--json", *more)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["registered"]
    return found


def test_consumers_find_the_schema_of_every_event(registry: str, prefix: str) -> None:
    """A consumer that takes its types from the registry would not understand what comes."""
    found = register(registry, prefix)
    assert {each["subject"] for each in found} == {prefix + name for name in schemas()}
    assert {each["result"] for each in found} == {"new"}
    held = {}
    for each in found:
        schema = json.loads(ask(registry, f"/schemas/ids/{each['id']}")["schema"])
        held[schema["$id"]] = Draft7Validator(schema)
    for event in events().values():
        held[event.dataschema].validate(orjson.loads(event.data))


def test_registering_again_changes_nothing(registry: str, prefix: str) -> None:
    """Each deployment would leave a version more, and its consumers would fetch them all."""
    first = register(registry, prefix)
    again = register(registry, prefix)
    assert [each["id"] for each in again] == [each["id"] for each in first]
    assert {each["result"] for each in again} == {"known"}
    for each in again:
        assert ask(registry, f"/subjects/{each['subject']}/versions") == [1]
        assert ask(registry, f"/config/{each['subject']}")["compatibilityLevel"] == "FORWARD_TRANSITIVE"


def older(subject_text: str, **promised: Any) -> dict[str, str]:
    """A version of a schema that promised these fields besides."""
    schema = json.loads(subject_text)
    schema["properties"] |= promised
    schema["required"] += list(promised)
    return {"schemaType": "JSON", "schema": json.dumps(schema)}


@pytest.mark.parametrize("check", [["--check"], []])
def test_a_schema_that_breaks_a_consumer_is_refused(registry: str, prefix: str, check: list[str]) -> None:
    """Consumers of the older version would meet events without a field that they were promised."""
    texts = subjects(prefix)
    subject = prefix + "task"
    ask(registry, f"/subjects/{subject}/versions", older(texts[subject], gone={"type": "string"}))
    ask(registry, f"/config/{subject}", {"compatibility": "FORWARD_TRANSITIVE"}, method="PUT")
    done = run("register-schemas", registry, "--prefix", prefix, *check)
    assert done.returncode == 1
    assert f"the schema of {subject} as incompatible" in done.stderr
    assert "--prefix" in done.stderr
    assert "Traceback" not in done.stderr
    assert ask(registry, f"/subjects/{subject}/versions") == [1]


def test_a_field_that_is_new_is_a_further_version(registry: str, prefix: str) -> None:
    """No release could add a field: the registry would refuse what our own rule allows."""
    subject = prefix + "task"
    schema = json.loads(subjects(prefix)[subject])
    del schema["properties"]["raw"]
    schema["required"].remove("raw")
    ask(registry, f"/subjects/{subject}/versions", {"schemaType": "JSON", "schema": json.dumps(schema)})
    ask(registry, f"/config/{subject}", {"compatibility": "FORWARD_TRANSITIVE"}, method="PUT")
    assert [each["result"] for each in register(registry, prefix, "--check") if each["subject"] == subject] == ["new"]
    register(registry, prefix)
    assert ask(registry, f"/subjects/{subject}/versions") == [1, 2]


def test_a_check_registers_nothing(registry: str, prefix: str) -> None:
    """A pull request that only wants to know would change production."""
    assert {each["result"] for each in register(registry, prefix, "--check")} == {"new"}
    assert not [subject for subject in ask(registry, "/subjects") if subject.startswith(prefix)]


def test_people_see_a_table(registry: str, prefix: str) -> None:
    """A user who registers schemas by hand would have to read JSON."""
    lines = run("register-schemas", registry, "--prefix", prefix).stdout.splitlines()
    assert lines[0] == "SUBJECT\tRESULT\tID"
    assert [line.split("\t")[:2] for line in lines[1:]] == [[prefix + name, "new"] for name in schemas()]
