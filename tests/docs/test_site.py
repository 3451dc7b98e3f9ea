"""The pages as they are laid out for the site. ``make site`` builds it, and checks each link and anchor."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.site import laid_out, lay_out, pages
from tests.docs.pages import ROOT, paths, read

SOURCE = "https://forge.example/relay"


def test_each_page_has_its_place_in_the_navigation() -> None:
    """A page would be built that no reader of the site can reach, or be announced and not be there."""
    listed = re.findall(r"^ +- (?:[^:\n]+: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(page.as_posix() for page in pages()) == sorted(paths())


def test_every_link_of_the_site_leads_to_a_page_of_it_or_out_of_it(tmp_path: Path) -> None:
    """The strict build would fail, and nobody would have seen why before the release."""
    lay_out(tmp_path / "site", SOURCE)
    lost = []
    for path in pages():
        for link in read("page.md", (tmp_path / "site" / path).read_text("utf-8")).links:
            target = link.partition("#")[0]
            if target and "://" not in link and not (tmp_path / "site" / path.parent / target).exists():
                lost.append(f"{path}: {link}")
    assert lost == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[a](b.md#c) [d](../README.md)", "[a](b.md#c) [d](../README.md)"),
        ("[a](../deploy/systemd/relay.service)", f"[a]({SOURCE}/blob/main/deploy/systemd/relay.service)"),
        ("[a](../relay/schemas)", f"[a]({SOURCE}/tree/main/relay/schemas)"),
        ("[a](folder) [b](folder/)", "[a](folder/README.md) [b](folder/README.md)"),
        ("`[a](../relay)` <https://x.example> [b](https://x.example)", None),
        ("![a](images/b.png)", None),
    ],
)
def test_links_to_files_that_are_no_pages_lead_to_the_repository(line: str, expected: str | None) -> None:
    """A reader of the site would click and find nothing."""
    known = {Path("docs/b.md"), Path("README.md"), Path("docs/folder/README.md"), Path("docs/page.md")}
    assert laid_out(line, Path("docs/page.md"), known, SOURCE) == (expected or line)


def test_what_belongs_to_a_list_is_indented_as_mkdocs_wants_it() -> None:
    """Code within a list would be shown as text on the site, and nested lists as flat ones."""
    page = "1. a\n\n   ```sh\n     b\n   ```\n\n- c\n  - d\n\n```sh\n  e\n```\n<!-- retry -->\n"
    expected = "1. a\n\n    ```sh\n      b\n    ```\n\n- c\n    - d\n\n```sh\n  e\n```\n"
    assert laid_out(page, Path("page.md"), set(), SOURCE) == expected
