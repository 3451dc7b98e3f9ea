"""Small mistakes in source text, each one edit on one line. Pure.

The operators are the usual ones of mutation testing: comparisons, boolean operators, arithmetic, whole numbers,
constants, returned values, negated conditions, statements that are left out. Annotations, docstrings, log lines and
figures at the top of a module (limits that were tuned, not reasoned) stay as they are.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake. ``line`` is where its statement begins, from 1; ``source`` the whole text with the mistake in it.

    ``where``: the function, with its class (``Queue.take``); empty in a script or a query.
    """

    line: int
    before: str
    after: str
    source: str
    where: str = ""


_COMPARISONS: Final[dict[type[ast.cmpop], str]] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
_ARITHMETIC: Final[dict[type[ast.operator], str]] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "//",
    ast.FloorDiv: "*",
    ast.Mod: "//",
    ast.LShift: ">>",
    ast.RShift: "<<",
    ast.BitAnd: "|",
    ast.BitOr: "&",
}
_TEXT: Final = {
    ".lua": {r" == ": " ~= ", r" ~= ": " == ", r" and ": " or ", r" >= ": " > ", r" \+ 1": " + 2", r" - 1": " - 0"},
    ".sql": {
        r" > ": " >= ",
        r" <= ": " < ",
        r" < ": " <= ",
        r" AND ": " OR ",
        r"\bmin\(": "max(",
        r" \+ excluded": " - excluded",
    },
}
_SIGNALS: Final = re.compile(r"^\s*(await )?(self\.)?_?(signals|log|logger|spans)\.")


def mutants_of(source: str, suffix: str = ".py") -> list[Mutant]:
    """Every mistake that can be planted in a file. ``suffix`` names its language: ``.py``, ``.sql`` or ``.lua``.

    Whether each of them still parses is for the caller to see: for all of them that takes longer than all the rest.
    """
    if suffix != ".py":
        return list(_in_text(source, _TEXT[suffix]))
    lines = source.splitlines(keepends=True)
    found = []
    for where, (line, start, stop, after) in _edits(ast.parse(source), source):
        before = source[start:stop]
        if before != after and not _SIGNALS.match(lines[line - 1]):
            changed = source[:start] + after + source[stop:]
            shown = [_shown(source, start, stop, text) for text in (before, after)]
            found.append(Mutant(line, *shown, changed, where))
    return found


def _shown(source: str, start: int, stop: int, text: str) -> str:
    begin = source.rfind("\n", 0, start) + 1
    end = source.find("\n", stop)
    return " ".join((source[begin:start] + text + source[stop:end]).split())


def _in_text(source: str, swaps: dict[str, str]) -> Iterator[Mutant]:
    at = 0
    for number, line in enumerate(source.splitlines(keepends=True), 1):
        if not line.lstrip().startswith("--"):
            for pattern, after in swaps.items():
                for match in re.finditer(pattern, line):
                    changed = line[: match.start()] + after + line[match.end() :]
                    yield Mutant(
                        number, line.strip(), changed.strip(), source[:at] + changed + source[at + len(line) :]
                    )
        at += len(line)


_Edit = tuple[int, int, int, str]
"""The line where the statement begins, where the text to replace starts and stops, and what stands there instead."""


class _Offsets:
    """Places of nodes in the text: ``ast`` counts columns in bytes of UTF-8."""

    def __init__(self, source: str) -> None:
        self._lines = source.splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def at(self, line: int, column: int) -> int:
        text = self._lines[line - 1]
        return self._starts[line - 1] + len(text.encode()[:column].decode())

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.at(node.lineno, node.col_offset), self.at(node.end_lineno, node.end_col_offset)


def _edits(tree: ast.Module, source: str) -> Iterator[tuple[str, _Edit]]:
    offsets = _Offsets(source)
    for where, function in _functions(tree, ""):
        for statement in function.body:
            yield from ((where, edit) for edit in _in_statement(statement, source, offsets))


def _functions(tree: ast.AST, within: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """All of them, each with the names around it."""
    for node in ast.iter_child_nodes(tree):
        where = within
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            where = f"{within}.{node.name}" if within else node.name
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield where, node
        yield from _functions(node, where)


def _in_statement(statement: ast.stmt, source: str, offsets: _Offsets) -> Iterator[_Edit]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return  # it has a turn of its own
    yield from ((statement.lineno, *edit) for edit in _whole(statement, source, offsets))
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.stmt):
            yield from _in_statement(child, source, offsets)
        elif isinstance(child, ast.ExceptHandler | ast.match_case):
            for inner in child.body:
                yield from _in_statement(inner, source, offsets)
        elif isinstance(child, ast.expr) and child is not getattr(statement, "annotation", None):
            for edit in _in_expression(child, source, offsets):
                yield (statement.lineno, *edit)


def _whole(statement: ast.stmt, source: str, offsets: _Offsets) -> Iterator[tuple[int, int, str]]:
    match statement:
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.AugAssign() | ast.Raise() | ast.Delete():
            yield (*offsets.span(statement), "pass")
        case ast.Continue():
            yield (*offsets.span(statement), "break")
        case ast.Break():
            yield (*offsets.span(statement), "continue")
        case ast.Return(value=ast.Constant(value=None)) | ast.Return(value=None):
            pass
        case ast.Return(value=ast.expr() as value):
            yield (*offsets.span(value), "None")
        case ast.If(test=test) | ast.While(test=test) if not isinstance(test, ast.Compare | ast.Constant):
            start, stop = offsets.span(test)
            yield start, stop, f"not ({source[start:stop]})"


def _in_expression(tree: ast.expr, source: str, offsets: _Offsets) -> Iterator[tuple[int, int, str]]:
    # zip(..., strict=...) only guards an invariant of ours.
    guards = {
        id(word.value)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        for word in call.keywords
        if word.arg == "strict"
    }
    for node in ast.walk(tree):
        if id(node) in guards:
            continue
        match node:
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                yield _between(left, right, _COMPARISONS[type(op)], source, offsets)
            case ast.BoolOp(op=op, values=[first, second, *_]):
                yield _between(first, second, "or" if isinstance(op, ast.And) else "and", source, offsets)
            case ast.UnaryOp(op=ast.Not()):
                start, _ = offsets.span(node)
                yield start, start + len("not "), ""
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                if not any(
                    isinstance(side, ast.Constant | ast.JoinedStr) and not _number(side) for side in (left, right)
                ):
                    yield _between(left, right, _ARITHMETIC[type(op)], source, offsets)
            case ast.Constant(value=bool() as value):
                yield (*offsets.span(node), str(not value))
            case ast.Constant(value=int() as value):
                yield (*offsets.span(node), str(value + 1))


def _number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


def _between(left: ast.expr, right: ast.expr, operator: str, source: str, offsets: _Offsets) -> tuple[int, int, str]:
    """The operator between two operands, without the brackets that stand around these."""
    start, stop = offsets.span(left)[1], offsets.span(right)[0]
    between = source[start:stop]
    head = len(between) - len(between.lstrip(" \n)"))
    tail = len(between.rstrip(" \n("))
    return start + head, start + tail, operator
