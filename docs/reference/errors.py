"""``errors.md``: what the relay answers, exits with and logs when something is wrong, read off its code."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from docs.reference.markdown import code, page, table
from relay import __version__
from relay.cli import outcome
from relay.contract.openapi import openapi
from relay.contract.operations import EVERYWHERE
from relay.edge.http.problems import KINDS

INTRODUCTION: Final = """
Every error says what is wrong, and what to do. Its `code` is stable, its texts may be improved.
"""
_PROBLEMS: Final = """
`application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)) with `type`, `title`, `status`,
`code`, mostly `detail`, and `hint`. On the OpenAI routes the same is in OpenAI's shape, `{"error": {"message",
"type", "param", "code"}}`. Each 429 and 503 has `Retry-After`. What the upstream answers passes as it is.
"""
_CODES: Final = """
In the log as `code`, with `error` and `hint`; in `relay_publish_failures_total{code}`; and on standard error, where a
command fails. `…` stands for what differs from case to case.
"""
_EXITS: Final = (
    (0, "done; also if the reader of the output has gone"),
    (
        outcome.FAILED,
        "failed: standard error says what, and what to do. `relay serve`, too, when it is fenced or its journal breaks",
    ),
    (2, "wrong usage: an unknown command or option, an impossible value"),
    (outcome.BAD_CONFIGURATION, "bad configuration: every problem is listed with its key and line"),
    (130, "interrupted by Ctrl-C, before it was done; `relay tail`, `serve` and `simulate` end by it with 0"),
)


def errors_page(sources: Mapping[str, str]) -> str:
    """The page; ``sources`` are the relay's modules by path."""
    where = _routes_of_problems()
    problems = [
        [code(name), str(kind.status), kind.title, kind.hint, where.get(name, "all")] for name, kind in KINDS.items()
    ]
    found = list(_raised(sources))
    own = [error for error in found if error.kind != "Unreadable"]
    dead = [error for error in found if error.kind in ("Unreadable", "Refused")]
    heads = ["code", "where", "what it says", "what to do"]
    parts = [
        f"## Answers over HTTP\n\n{_PROBLEMS.strip()}\n\n"
        + table(["code", "status", "what it says", "what to do", "routes"], problems),
        "## Exit codes\n\n" + table(["code", "when"], [[str(number), text] for number, text in _EXITS]),
        f"## Codes of the relay itself\n\n{_CODES.strip()}\n\n" + table(heads, _merged(own)),
        "## Reasons of dead letters\n\nOf a delivery that makes no event, and of an event that a sink refused.\n\n"
        + table(["reason", "where", "what it says"], [row[:3] for row in _merged(dead)]),
    ]
    return page("Errors", INTRODUCTION, parts)


def _routes_of_problems() -> dict[str, str]:
    """The groups of routes on which a code can be met; a code that is not there can be met everywhere."""
    found: dict[str, dict[str, None]] = {}
    for path, operations in openapi(__version__)["paths"].items():
        group = "/".join(path.split("/")[:3] if path.startswith(("/v1/", "/v3/openai")) else path.split("/")[:2])
        for operation in operations.values():
            for name in _codes_in(operation):
                found.setdefault(name, {})[group] = None
    return {name: ", ".join(map(code, groups)) for name, groups in found.items() if name not in EVERYWHERE}


def _codes_in(operation: Any) -> Iterator[str]:
    if isinstance(operation, dict):
        for answer in operation.get("responses", {}).values():
            yield from (name for name in KINDS if f"`{name}`:" in answer["description"])


# What the code raises -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Raised:
    """A place at which something fails under a code."""

    code: str
    kind: str
    place: str
    message: str
    hint: str


_KINDS: Final = {
    "RelayError",
    "SinkUnavailable",
    "SinkFenced",
    "JournalUnavailable",
    "JournalBroken",
    "JournalInUse",
    "Unreadable",
    "Refused",
}
_LISTENING: Final = ("relay/edge/http/listener.py", "relay/edge/http/tls.py")
_ELSEWHERE: Final = ("relay/edge/", "relay/simulator/", "relay/demo/", "relay/core/errors.py")
"""Where the answers over HTTP are made, which have their own table, and what is no part of a relay in production."""


def _raised(sources: Mapping[str, str]) -> Iterator[Raised]:
    modules = {path: ast.parse(text) for path, text in sources.items()}
    named = {name: text for module in modules.values() for name, text in _texts(module.body).items()}
    named = {name: text for name, text in named.items() if _is_code(text) or text.endswith(".")}
    for path, module in modules.items():
        for scope, nodes in _scopes(module):
            inner = {} if scope is module else _texts(nodes)
            yield from _in_scope(path, nodes, named | inner)


def _scopes(module: ast.Module) -> Iterator[tuple[ast.AST, list[ast.AST]]]:
    """Each function with what may matter in it, functions within it included; in the end the module, with all of it."""
    within: dict[ast.AST, list[ast.AST]] = {module: []}
    left: deque[tuple[ast.AST, tuple[ast.AST, ...]]] = deque([(module, (module,))])
    while left:
        node, scopes = left.popleft()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            scopes = (*scopes, node)
            within[node] = []
        elif isinstance(node, ast.Call | ast.Tuple | ast.Assign):
            for scope in scopes:
                within[scope].append(node)
        left.extend((child, scopes) for child in ast.iter_child_nodes(node))
    everything = within.pop(module)
    yield from within.items()
    yield module, everything


def _in_scope(path: str, nodes: Iterable[ast.AST], names: Mapping[str, str]) -> Iterator[Raised]:
    """What is raised in a function, or anywhere in a module; ``names`` are the texts that a name stands for there."""
    for node in nodes:
        if isinstance(node, ast.Call):
            yield from _call(path, node, names)
        elif isinstance(node, ast.Tuple) and path.startswith("relay/sinks/"):
            yield from _entry(path, node, names)


def _texts(nodes: Iterable[ast.AST]) -> dict[str, str]:
    """The texts that are given a name."""
    return {
        target.id: _text(node.value, {})
        for node in nodes
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _call(path: str, node: ast.Call, names: Mapping[str, str]) -> Iterator[Raised]:
    kind = getattr(node.func, "id", "")
    if kind not in _KINDS or not node.args:
        return
    if path.startswith(_ELSEWHERE) and kind != "Unreadable" and path not in _LISTENING:
        return
    texts = [_text(argument, names) for argument in node.args]
    if kind == "SinkFenced":
        texts.insert(0, "fenced")
    hint = next((_text(keyword.value, names) for keyword in node.keywords if keyword.arg == "hint"), "")
    if _is_code(texts[0]) and len(texts) > 1:
        yield Raised(texts[0], kind, _place(path), texts[1], hint)


def _entry(path: str, node: ast.Tuple, names: Mapping[str, str]) -> Iterator[Raised]:
    """A row of a table that gives a broker's failure its code and hint: the code and the hint are its last two."""
    if len(node.elts) in (2, 3) and all(isinstance(each, ast.Constant | ast.Name) for each in node.elts[-2:]):
        name, hint = (_text(each, names) for each in node.elts[-2:])
        if _is_code(name) and (hint.endswith(".") or not hint):
            yield Raised(name, "SinkUnavailable", _place(path), "", hint)


def _text(node: ast.expr, names: Mapping[str, str]) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.Name):
        return names.get(node.id, "…")
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return "…"


def _is_code(text: str) -> bool:
    return text.replace("_", "").isalpha() and text.islower()


def _place(path: str) -> str:
    parts = path.removesuffix(".py").split("/")[1:]
    if parts[-1] == "shared_index":
        return parts[-1]
    if parts[0] == "sinks":
        return parts[1].strip("_").partition("_")[0]
    if parts[0] == "publishing":
        return parts[1]
    return {"edge": "listener", "app": "start", "sources": "source"}.get(parts[0], parts[0])


def _merged(found: Iterable[Raised]) -> list[list[str]]:
    """One row for each code, with everything it is said with."""
    rows: dict[str, list[dict[str, None]]] = {}
    for error in found:
        row = rows.setdefault(error.code, [{}, {}, {}])
        for column, text in zip(row, (error.place, error.message, error.hint), strict=True):
            if text.strip("… .:"):
                column[text] = None
    return [
        [code(name), ", ".join(row[0]), *(" ".join(column) for column in row[1:])] for name, row in sorted(rows.items())
    ]
