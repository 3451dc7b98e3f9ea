"""Writes the reference pages anew."""

from __future__ import annotations

from pathlib import Path

from docs.reference.pages import pages

if __name__ == "__main__":
    here = Path(__file__).parent
    for name, text in pages(here.parents[1]).items():
        (here / name).write_text(text, encoding="utf-8")
        print(f"docs/reference/{name}")
