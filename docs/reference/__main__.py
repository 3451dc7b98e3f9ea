"""Writes the reference pages anew, and the commands in ``docs/cli.md``."""

from __future__ import annotations

from pathlib import Path

from docs.reference.commands import renewed
from docs.reference.pages import pages

if __name__ == "__main__":
    here = Path(__file__).parent
    for name, text in pages(here.parents[1]).items():
        (here / name).write_text(text, encoding="utf-8")
        print(f"docs/reference/{name}")
    commands = here.parent / "cli.md"
    commands.write_text(renewed(commands.read_text("utf-8")), encoding="utf-8")
    print("docs/cli.md")
