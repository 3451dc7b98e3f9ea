"""The documentation as a site."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.site import laid_out, pages
from tests.docs.generator import build, laid_out_in
from tests.docs.pages import ROOT, paths

SOURCE = "https://forge.example/relay"


def test_each_page_has_its_place_in_the_navigation() -> None:
    """A page would be built that no reader of the site can reach, or be announced and not be there."""
    listed = re.findall(r"^ +- (?:[^:\n]+: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(page.as_posix() for page in pages()) == sorted(paths())


def test_the_site_is_built_and_a_link_that_leads_nowhere_ends_the_build(tmp_path: Path) -> None:
    """The site would not be published, or with links and anchors that lead nowhere."""
    place = laid_out_in(tmp_path, SOURCE)
    code, said = build(tmp_path)
    assert code == 0, said
    with (place / "README.md").open("a") as page:
        page.write("\n[nowhere](docs/faq.md#no-such-question)\n")
    code, said = build(tmp_path)
    assert code != 0
    assert "no-such-question" in said


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
