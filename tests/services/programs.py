"""Programs of the machine that tests start."""

from __future__ import annotations

import shutil

import pytest


def executable(name: str) -> str:
    """The path of a program. A test that lacks one fails; it is never skipped."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not on the path: `make setup` installs it, or says how. Start tests with make.")
    return found
