"""Joins the console's scripts into one when relay starts. Pure.

A new page would find its modules import by import, and wait for each before it can ask for its data.

Each module becomes a function that runs once, after those that it imports. Only what the console writes is read:
``import { a, b as c } from "./x.js";``, ``import * as x from "./x.js";``, and ``export`` before a function, a class or
a const. So what a module exports never changes, and modules cannot import each other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from graphlib import TopologicalSorter
from typing import Final

_IMPORT: Final = re.compile(r'^import (?:(\{[^}]*\})|\* as (\w+)) from "\./([\w-]+\.js)";$', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=(?:async function|function|class|const) (\w+))", re.MULTILINE)
_OTHER: Final = re.compile(r"^\s*(?:import|export)\b.*|\bimport\(.*", re.MULTILINE)


def bundle(modules: Mapping[str, str]) -> str:
    """One module that does what all of them do, by their file names. It exports them as ``modules``, for tests.

    Raises ``ValueError`` for an import or an export of another form, and for imports in a circle; ``KeyError`` for a
    file that is not there.
    """
    # Lists, not sets: the order, and with it the version of the console, is the same in every process.
    graph = {name: [file for _, _, file in _IMPORT.findall(modules[name])] for name in sorted(modules)}
    joined = "".join(_wrapped(name, modules[name]) for name in TopologicalSorter(graph).static_order())
    return f"export const modules = {{}};\n{joined}"


def _wrapped(name: str, text: str) -> str:
    exported = ", ".join(_EXPORT.findall(text))
    body = _EXPORT.sub("", _IMPORT.sub(_local, text))
    if other := _OTHER.search(body):
        raise ValueError(f"{name}: cannot be joined: {other[0].strip()}")
    return f'\n// {name}\nmodules["{name}"] = (() => {{\n{body}return {{ {exported} }};\n}})();\n'


def _local(found: re.Match[str]) -> str:
    names, whole, file = found.groups()
    return f'const {whole or names.replace(" as ", ": ")} = modules["{file}"];'
