"""Writes the reference pages again, the commands in ``docs/cli.md``, and the files in ``ARCHITECTURE.md``."""

from __future__ import annotations

from pathlib import Path

from docs.reference import commands, tree
from docs.reference.pages import pages

if __name__ == "__main__":
    here = Path(__file__).parent
    for name, text in pages(here.parents[1]).items():
        (here / name).write_text(text, encoding="utf-8")
        print(f"docs/reference/{name}")
    page = here.parent / "cli.md"
    page.write_text(commands.renewed(page.read_text("utf-8")), encoding="utf-8")
    print("docs/cli.md")
    map_ = here.parents[1] / "ARCHITECTURE.md"
    map_.write_text(tree.renewed(map_.read_text("utf-8"), tree.files(here.parents[1])), encoding="utf-8")
    print("ARCHITECTURE.md")
