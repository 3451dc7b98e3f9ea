"""The rules that keep the tree readable. Each failure names the files and says what to do."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from functools import cache
from io import StringIO
from pathlib import Path
from token import COMMENT

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = 500
MUTE_LINES = 150
"""Lines up to which a file may go without a comment."""

TESTED_ELSEWHERE = {
    "relay/archive/bucket.py": "tests/contract/test_stores.py has it put and find objects",
    "relay/app/drain.py": "tests/integration/test_drain_running.py drains relays that run",
    "relay/app/listeners.py": "binds the edge; tests/integration and tests/e2e run it bound",
    "relay/edge/http/tls.py": "tests/unit/edge/http/test_arrival.py shakes hands with it",
    "relay/cli/exchange.py": "tests/integration/test_listeners.py has relay's commands reach every kind of listener",
    "relay/telemetry/inferences.py": "does nothing; tests/unit/telemetry/test_otel_inferences.py tests its subclass",
    "relay/edge/http/listener.py": "tests/unit/edge/http/test_server.py serves with it",
    "relay/edge/build.py": "wires the edge; tests/integration and tests/e2e run it wired",
    "relay/app/plugins.py": "every test of tests/contract and tests/integration finds its sinks through it",
    "relay/app/process.py": "signals and exit codes; tests/integration/test_drain.py and test_cli.py run processes",
    "relay/app/reload.py": "tests/integration/test_reload.py changes the configuration of running relays",
    "relay/app/relay.py": "wires the parts; tests/integration and tests/e2e run them wired",
    "relay/cli/doctor/command.py": "tests/integration/test_doctor.py runs the doctor beside what is broken",
    "relay/cli/doctor/network.py": "tests/integration/test_doctor.py has it reach real servers, and others",
    "relay/cli/doctor/upstream.py": "tests/integration/test_egress_proxy.py has it go through real proxies",
    "relay/journal/sql.py": "hands out the statements; every test of tests/unit/journal goes through it",
    "relay/contract/operations.py": "tests/unit/contract/test_openapi.py has it make every operation",
    "relay/core/sink.py": "values and the port; every sink of tests/contract goes through them",
    "relay/core/event.py": "values; tests/unit/core/test_cloudevents.py and test_dedup.py go through them",
}
"""Modules without a unit test of their own: the path, and what tests them instead."""

VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "base", "handler", "handlers", "misc"}
CODE = {".py", ".sql", ".lua", ".js", ".css", ".html", ".sh"}
TEXT = CODE | {".md", ".toml", ".yaml", ".yml", ".tpl", ".txt", ".cfg"}
SHOWN = {".ci", ".github", ".devcontainer", ".pre-commit-config.yaml"}
"""Of what is hidden, that which people edit."""
SKIPPED = {"node_modules", "__pycache__", "dist", "build", "var"}
MACHINE_PATH = re.compile(r"(?<![\w.}\-/])/(?:root|work)/")


@cache
def project_files() -> tuple[Path, ...]:
    """Every file of the project, relative to its root; hidden folders and what is generated are left out."""
    return tuple(sorted(_walk(ROOT)))


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in SKIPPED or (path.name.startswith(".") and path.name not in SHOWN):
            continue
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path.relative_to(ROOT)


def python_files(*tops: str) -> Iterator[Path]:
    return (path for path in project_files() if path.suffix == ".py" and path.parts[0] in tops)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text("utf-8"), str(path))


def has_public_functions(module: ast.Module) -> bool:
    """Whether there is behaviour to test: a public function, or a public class (no port) with a public method."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            return True
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and not _is_port(node):
            methods = (part for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef))
            if any(not method.name.startswith("_") for method in methods):
                return True
    return False


def _is_port(node: ast.ClassDef) -> bool:
    return any(isinstance(parent, ast.Name) and parent.id == "Protocol" for parent in node.bases)


def mirrors_of(module: Path) -> list[Path]:
    """Where a module may have its unit test, the usual place first.

    ``relay/a/x.py``: ``tests/unit/a/test_x.py``. A package's own code: ``test_<package>.py``. A private part
    ``_x_y.py``: ``test_x_y.py``, or through the module ``x.py`` that it is a part of, in ``test_x.py``. A part of a
    sink that is a package: also through the sink, in ``test_sink.py``.
    """
    name = module.parent.name if module.stem == "__init__" else module.stem.strip("_")
    names = [name, name.partition("_")[0]] if module.stem.startswith("_") else [name]
    if module.parts[1] == "sinks" and len(module.parts) > 3:
        names.append("sink")
    return [Path("tests/unit", *module.parts[1:-1], f"test_{each}.py") for each in names]


def test_every_module_has_its_unit_test() -> None:
    """A module could lose its tests, or never get any, and nobody would see it."""
    modules = [path for path in python_files("relay") if has_public_functions(parsed(path))]
    lacking = [
        f"{module} has no {mirrors_of(module)[0]}"
        for module in modules
        if not set(mirrors_of(module)) & set(project_files()) and module.as_posix() not in TESTED_ELSEWHERE
    ]
    assert not lacking, "write the test, or give the reason in TESTED_ELSEWHERE:\n" + "\n".join(lacking)


def test_no_exception_outlives_its_reason() -> None:
    """The list of modules without a unit test would go on excusing one that is gone or has its test."""
    excused = [Path(path) for path in TESTED_ELSEWHERE]
    stale = [path for path in excused if path not in project_files() or mirrors_of(path)[0] in project_files()]
    assert not stale, f"take them off TESTED_ELSEWHERE: {stale}"


def test_every_unit_test_lies_where_its_package_does() -> None:
    """A unit test would be missing beside the others of its package."""
    packages = {path.parent.parts[1:] for path in python_files("relay")}
    astray = [path for path in python_files("tests") if path.parts[1] == "unit" and path.parts[2:-1] not in packages]
    assert not astray


def test_no_file_has_a_name_that_says_nothing() -> None:
    """A drawer for everything would open, and fill."""
    vague = [path for path in project_files() if path.suffix in CODE and VAGUE & set(path.stem.lower().split("_"))]
    assert not vague, f"name the files after what they do: {vague}"


def test_no_file_is_too_long_to_be_read() -> None:
    """A file would grow until nobody knows all of it."""
    sizes = {str(path): _lines(path) for path in project_files() if path.suffix in CODE}
    long = {path: lines for path, lines in sizes.items() if lines > MAX_LINES}
    assert not long, f"split them along their parts: {long}"


def _lines(path: Path) -> int:
    return (ROOT / path).read_bytes().count(b"\n")


def says_something(comment: str) -> bool:
    """Whether a comment is for readers: no directive to a tool alone, and no ruler between two parts of a class."""
    words = re.sub(r"#\s*(noqa|type: ?ignore|pragma|fmt:|ruff:)[^#]*", "", comment).strip("# ")
    return bool(words) and not words.startswith("--")


def test_every_long_file_says_why_somewhere() -> None:
    """A developer who changes it would learn what it does, but not what was tried, measured or rejected."""
    mute = []
    for path in python_files("relay"):
        text = (ROOT / path).read_text("utf-8")
        comments = (each.string for each in tokenize.generate_tokens(StringIO(text).readline) if each.type == COMMENT)
        if text.count("\n") > MUTE_LINES and not any(map(says_something, comments)):
            mute.append(str(path))
    assert not mute, f"write down a reason that the code cannot show: {mute}"


@pytest.mark.parametrize(
    ("comment", "says"),
    [
        ("# a kernel drops it after a failed sync", True),
        ("# noqa: S311", False),
        ("# noqa: S311 - no secret", False),
        ("# type: ignore[arg-type]  # each reader gives its own field's type", True),
        ("# -- publishing ----------", False),
        ("#", False),
    ],
)
def test_a_directive_is_no_reason(comment: str, says: bool) -> None:
    """A file would pass for explained because a linter is silenced in it."""
    assert says_something(comment) is says


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    """A script or a document would work on one machine only."""
    found = [
        f"{path}:{number}: {line.strip()}"
        for path in project_files()
        if path.suffix in TEXT or path.name in ("Makefile", "Dockerfile", "run")
        for number, line in enumerate((ROOT / path).read_text("utf-8").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("cd /ro" + "ot/x", True),
        ('open("/wo' + 'rk/a.py")', True),
        ("deploy/wo" + "rk/x", False),
        ("https://example.org/wo" + "rk/", False),
        ("/workspace/x", False),
    ],
)
def test_other_paths_are_not_taken_for_machine_paths(line: str, found: bool) -> None:
    """The search for machine paths would find nothing, or cry wolf over an address."""
    assert bool(MACHINE_PATH.search(line)) is found


def test_imports_go_down_only() -> None:
    """The layers, the purity of the core or the one home of each vendor client would be gone."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    result = subprocess.run(
        [sys.executable, "-c", command, "--no-cache", "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


INSIDES = {"aiohttp": "relay/edge/http/", "aiokafka": "relay/sinks/kafka/", "redis": "relay/sinks/redis/"}
"""Where the insides of a vendor's library may be known: its modules below the top, and what it keeps to itself."""


def test_the_insides_of_aiohttp_are_known_in_one_room() -> None:
    """A release that moves them would have to be followed all over the edge."""
    found = [
        f"{path}:{node.lineno}: {node.module}"
        for path in python_files("relay")
        if not path.as_posix().startswith((INSIDES["aiohttp"], "relay/simulator/"))
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aiohttp.")
    ]
    assert not found, f"reach for them in {INSIDES['aiohttp']}: {found}"


def test_no_file_takes_what_another_keeps_to_itself() -> None:
    """A change inside one file would break others, which nobody expects of a name with an underscore."""
    found = [
        f"{path}:{line}: {name}"
        for path in python_files("relay")
        if not path.as_posix().startswith(tuple(INSIDES.values()))
        for line, name in _private_names_of_others(parsed(path))
    ]
    assert not found, "give it a public name where it is defined:\n" + "\n".join(found)


_OF_A_TUPLE = {"_asdict", "_fields", "_make", "_replace"}
"""Public names of named tuples."""


def _private_names_of_others(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Private names that a file imports, or takes from an object, and does not itself define or assign."""
    own = {node.name for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    taken = []
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom):
            taken += [(node.lineno, each.name) for each in node.names]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            own.add(node.attr)
        elif isinstance(node, ast.Attribute):
            taken.append((node.lineno, node.attr))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            own.add(node.target.id)
    private = ((line, name) for line, name in taken if re.match("_[^_]", name) and name not in _OF_A_TUPLE)
    return ((line, name) for line, name in private if name not in own)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from relay.a import _b", ["_b"]),
        ("other._x", ["_x"]),
        ("self._x", []),
        ("class A:\n def f(self, other):\n  return self._x == other._x", []),
        ("row._replace(a=1)", []),
        ("__version__", []),
    ],
)
def test_what_is_public_is_not_taken_for_private(text: str, found: list[str]) -> None:
    """The search for private names would find nothing, or cry wolf."""
    assert [name for _, name in _private_names_of_others(ast.parse(text))] == found


def test_every_module_has_its_layer() -> None:
    """A new top-level module could import anything, since the contract says nothing about modules it does not name."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (layers,) = (each["layers"] for each in tool["contracts"] if each["name"] == "Imports go down only")
    placed = set(re.findall(r"relay\.(\w+)", " ".join(layers)))
    present = {path.parts[1].removesuffix(".py") for path in python_files("relay")} - {"__init__", "__main__"}
    assert not present - placed, f"name them in [tool.importlinter]: {present - placed}"


_TEST = re.compile(r"\bdef test_")
_TEST_WITH_DOCSTRING = re.compile(r"\bdef test_\w+\([^()]*(?:\([^()]*\)[^()]*)*\) -> None:\n +r?\"\"\"\w")


def each_has_a_docstring(source: str) -> bool:
    """Whether that shows at a glance: to take 60,000 lines of tests apart needs 2 s."""
    return len(_TEST.findall(source)) == len(_TEST_WITH_DOCSTRING.findall(source))


@pytest.mark.parametrize(
    ("source", "has"),
    [
        ('def test_a() -> None:\n    """Broken."""\n', True),
        ('async def test_a(b: Callable[[], None] = c(1), *, d: int) -> None:\n    """Broken."""\n', True),
        ('def test_a() -> None:\n    """Broken."""\n\ndef test_b() -> None:\n    pass\n', False),
        ('def test_a() -> None:\n    x = 1\n    """Broken."""\n', False),
        ('def test_a() -> None:\n    """"""\n', False),
    ],
)
def test_a_missing_docstring_is_not_overlooked(source: str, has: bool) -> None:
    """The test below would not look at the file at all."""
    assert each_has_a_docstring(source) is has


def test_every_test_says_what_is_broken_if_it_fails() -> None:
    """A developer with a failing test would have to guess what it protects."""
    mute = [
        f"{path}:{node.lineno} {node.name}"
        for path in python_files("tests")
        if path.stem.startswith("test_") and not each_has_a_docstring((ROOT / path).read_text("utf-8"))
        for node in _functions(parsed(path))
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert not mute, "give each a sentence:\n" + "\n".join(mute)


def _functions(scope: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Where pytest looks for tests: in a module and in its classes."""
    for node in scope.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node)


def test_every_folder_of_tests_is_a_package() -> None:
    """Two tests of one file name would shadow each other."""
    folders = {path.parent for path in python_files("tests")}
    assert not [folder for folder in folders if not (ROOT / folder / "__init__.py").exists()]
