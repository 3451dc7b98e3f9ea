"""What is planted by the mutation tests."""

from pathlib import Path

from tests.mutants.__main__ import PLACES, ROOT, TESTS, Trial, explanations, files
from tests.mutants.mutations import mutants_of

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
    assert all(mutant.source != SOURCE for mutant in mutants_of(SOURCE))


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
    assert [test for test in TESTS if not (ROOT / test).exists()] == []
