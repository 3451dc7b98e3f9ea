"""Operations of the OpenAPI document: what each may answer, its refusals included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from relay.contract.answers import problem_schema, shaped_error_schema
from relay.contract.schemas import Schema, reference
from relay.core.chat.api import Api
from relay.edge.http.problems import KINDS, PROBLEM_JSON

Document = dict[str, Any]

EVERYWHERE: Final = ("bad_request", "head_too_large", "header_timeout", "overloaded", "internal")
"""Codes of requests that no route has seen yet, or in which the relay has a bug."""

JSON: Final = "application/json"


def operation(
    name: str,
    summary: str,
    *,
    codes: Sequence[str] = (),
    answers: Mapping[int, tuple[str | None, str]] | None = None,
    security: Sequence[Document] = (),
    parameters: Sequence[Document] = (),
    api: Api | None = None,
) -> Document:
    """``answers``: the schema's name and a description by status; ``api``: problems take its shape."""
    responses: dict[str, Document] = {}
    for status, (schema, text) in (answers or {}).items():
        content = {"content": {JSON: {"schema": reference(schema)}}} if schema else {}
        responses[str(status)] = {"description": text, **content}
    for number, refusal in _refusals((*codes, *EVERYWHERE), api=api).items():
        held = responses.setdefault(number, refusal)
        if held is not refusal:  # a probe's 503 is no problem document, but the listener's own is
            held["content"] |= refusal["content"]
    operation: Document = {"operationId": name, "summary": summary, "responses": responses}
    if security:
        operation["security"] = list(security)
    if parameters:
        operation["parameters"] = list(parameters)
    return operation


def _refusals(codes: Sequence[str], *, api: Api | None) -> Document:
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(KINDS[code].status, []).append(code)
    return {str(status): _refusal(status, found, api=api) for status, found in sorted(by_status.items())}


def _refusal(status: int, codes: list[str], *, api: Api | None) -> Document:
    text = "; ".join(f"`{code}`: {KINDS[code].title}" for code in codes) + "."
    content = {JSON: {"schema": shaped_error_schema(api, codes)}} if api else {}
    as_problems = [code for code in codes if not api or code in EVERYWHERE]  # the listener knows no routes
    if as_problems:
        content[PROBLEM_JSON] = {"schema": problem_schema(as_problems)}
    refusal: Document = {"description": text, "content": content}
    if status in (429, 503):
        seconds = {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}}
        refusal["headers"] = {"Retry-After": seconds}
    return refusal


def parameter(
    name: str, text: str, schema: Schema | None = None, where: str = "query", *, required: bool = False
) -> Document:
    return {
        "name": name,
        "in": where,
        "description": text,
        "required": required or where == "path",
        "schema": schema or {"type": "string"},
    }
