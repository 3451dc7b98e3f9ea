"""What is planted by the mutation tests."""

import ast
import subprocess
from itertools import chain
from pathlib import Path

import pytest

from tests.mutants.__main__ import PLACES, ROOT, SCRIPTS, TESTS, Trial, explanations, files
from tests.mutants.mutations import mutants_of
from tests.mutants.trial import Copy

SOURCE = '''
LIMIT = 8

def narrow(self, entries: list[int], *, upto: int = 3) -> int | None:
    """Four: no figure of a docstring changes."""
    if (len(entries) + 1) < (upto) and not (self.closed):
        raise ValueError("too few")
    self._signals.narrowed(4)
    for one, two in zip(entries, entries, strict=True):
        continue
    return max(entries)
'''


def test_each_mistake_is_one_edit_that_still_parses():
    """If this fails, mutants that cannot even be imported count as noticed by the tests, or none are planted at all."""
    found = {(mutant.line, mutant.after) for mutant in mutants_of(SOURCE)}
    assert found == {
        (6, "if (len(entries) + 1) <= (upto) and not (self.closed):"),
        (6, "if (len(entries) + 1) < (upto) or not (self.closed):"),
        (6, "if (len(entries) - 1) < (upto) and not (self.closed):"),
        (6, "if (len(entries) + 2) < (upto) and not (self.closed):"),
        (6, "if (len(entries) + 1) < (upto) and (self.closed):"),
        (6, "if not ((len(entries) + 1) < (upto) and not (self.closed)):"),
        (7, "pass"),
        (10, "break"),
        (11, "return None"),
    }
    assert all(ast.dump(ast.parse(mutant.source)) != ast.dump(ast.parse(SOURCE)) for mutant in mutants_of(SOURCE))


def test_scripts_and_statements_get_mistakes_as_well():
    """If this fails, nobody knows whether a test would notice a wrong comparison in the Redis script or in a query."""
    assert [mutant.after for mutant in mutants_of("-- a == b\nif a == b then\n", ".lua")] == ["if a ~= b then"]
    assert [mutant.source for mutant in mutants_of("x\nWHERE a < ?\n", ".sql")] == ["x\nWHERE a <= ?\n"]


def test_what_is_explained_can_still_be_planted():
    """If this fails, an explanation stands for code that is gone, and may excuse another mistake than was looked at."""
    paths = {mistake.partition(": ")[0].partition(" ")[0] for mistake in explanations()}
    planted = {
        str(Trial(path, mutant, None))
        for path in paths
        if (ROOT / path).exists()
        for mutant in mutants_of((ROOT / path).read_text(), Path(path).suffix)
    }
    assert explanations().keys() <= planted


def test_every_place_and_every_test_is_there():
    """If this fails, what was moved is left out of the mutation tests, and nobody sees it."""
    assert len(files(PLACES)) > 100
    assert [test for test in chain(TESTS, *SCRIPTS.values()) if not (ROOT / test).exists()] == []
    assert {Path(name).name for name in files(PLACES) if name.endswith(".lua")} == SCRIPTS.keys()


CODE = "LIMIT = 3\n\n\ndef narrow(size):\n    while size > LIMIT:\n        size -= 1\n    return size\n"
CHECKED = """
import subprocess, sys
from relay.narrow import narrow

SAY = "from relay.narrow import narrow; print(narrow(5))"

def test_here():
    assert narrow(5) == 3

def test_in_a_process_of_its_own(tmp_path):
    assert subprocess.run([sys.executable, "-c", SAY], cwd=tmp_path, capture_output=True).stdout == b"3\\n"
"""


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """A tree with one function and its tests. Its package is called as the one that is installed."""
    root = tmp_path / "root"
    (root / "relay").mkdir(parents=True)
    (root / "relay" / "__init__.py").touch()
    (root / "relay" / "narrow.py").write_text(CODE)
    (root / "test_narrow.py").write_text(CHECKED)
    subprocess.run(["git", "init", "-q", root], check=True)
    return Copy(root, tmp_path / "copy")


HERE, ELSEWHERE = "test_narrow.py::test_here", "test_narrow.py::test_in_a_process_of_its_own"


@pytest.mark.parametrize(
    ("mistake", "test"),
    [
        pytest.param(("3", "4"), HERE, id="here"),
        pytest.param(("3", "4"), ELSEWHERE, id="in a process that a test starts"),
        pytest.param(("-=", "+="), HERE, id="without an end"),
    ],
)
def test_the_tests_are_run_with_the_mistake_and_not_without_it(copy: Copy, mistake: tuple[str, str], test: str) -> None:
    """If this fails, tests are said to notice what they were never shown, or not to notice what they would."""
    assert copy.try_out("relay/narrow.py", CODE.replace(*mistake), [test], each=2) == "killed"
    assert copy.try_out("relay/narrow.py", CODE, [test]) == "survived"


def test_a_test_that_is_gone_notices_nothing(copy: Copy) -> None:
    """If this fails, a known mistake whose test was renamed counts as noticed for good."""
    with pytest.raises(LookupError, match="test_gone"):
        copy.try_out("relay/narrow.py", CODE, ["test_narrow.py::test_gone"])
