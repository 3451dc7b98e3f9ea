"""Every command, program and configuration that the pages show."""

from __future__ import annotations

import ast
import html
import json
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.main import get_command

from docs import recording
from relay.app.plugins import sink_configs
from relay.settings import load
from tests.docs.pages import COMMANDS, OUTPUTS, ROOT, Block, Page, pages
from tests.docs.sandbox import FOLDER, TOKEN, Sandbox
from tests.docs.services import SERVICES
from tests.setup.needs import NEEDS

NOT_RUN = {
    "fetches packages": 2,
    "needs a release": 3,
    "needs a cluster": 3,
    "needs a journal that was left": 1,
    "needs Caddy": 1,
    "needs a tunnel": 1,
}
"""Why a block is run by nobody, and how many there are. Each is a promise to the reader that nobody keeps: few."""

SHOWN = ("mermaid", *OUTPUTS)
"""Blocks that nobody runs: pictures, and examples of what comes out or in."""

OTHERS = ("nginx", "caddyfile")
"""Configurations of other programs; a comment above each says what tries it."""

PAGES = [page for page in pages() if page.blocks and "page run by" not in page.said]
CONFIGURATIONS = [block for page in pages() for block in page.blocks if block.language == "yaml"]


def is_run(block: Block) -> bool:
    return block.language in COMMANDS and not {"run by", "not run"} & block.said.keys()


def needs(page: Page) -> set[str]:
    return set(filter(None, page.said.get("needs", "").replace(" ", "").split(",")))


@pytest.fixture
def places(request: pytest.FixtureRequest, page: Page, tmp_path: Path) -> dict[str, str]:
    """Starts what a page needs; answers what stands in the page for it."""
    found: dict[str, str] = {}
    for name in needs(page) - {"relay"}:
        found |= SERVICES[name](request, tmp_path)
    return found


@pytest.mark.parametrize("page", [page for page in PAGES if any(map(is_run, page.blocks))], ids=str)
async def test_the_commands_of_a_page_do_what_it_says(page: Page, places: dict[str, str], tmp_path: Path) -> None:
    """A reader would type what the page shows, and it would fail or print something else."""
    sandbox = Sandbox(tmp_path / FOLDER, places)
    try:
        if "relay" in needs(page):
            await sandbox.run(Block(page.path, 0, "sh", "relay serve", {"background": "8080"}))
        for block in page.blocks:
            if is_run(block) or "file" in block.said:
                await sandbox.run(block)
    finally:
        await sandbox.close()


@pytest.mark.parametrize("block", [block for block in CONFIGURATIONS if "values" not in block.said], ids=str)
def test_every_configuration_is_valid(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader would copy a configuration that the relay refuses."""
    monkeypatch.chdir(tmp_path)
    for name in re.findall(r"_file: ([\w-]+)$", block.text, re.MULTILINE):  # made by a command of the page
        (tmp_path / name).write_text(TOKEN)
    file = tmp_path / "relay.yaml"
    file.write_text(Sandbox(tmp_path).here(block.text))
    load(file, {}, sink_configs())


@pytest.mark.parametrize("block", [block for block in CONFIGURATIONS if "values" in block.said], ids=str)
def test_values_of_the_chart_are_valid(block: Block, tmp_path: Path) -> None:
    """A reader would copy values that the chart refuses, or a configuration in them that the relay does."""
    values = yaml.safe_load(block.text)
    jsonschema.validate(values, json.loads((ROOT / "deploy/helm/relay/values.schema.json").read_text("utf-8")))
    file = tmp_path / "relay.yaml"
    file.write_text(Sandbox(tmp_path).here(yaml.safe_dump(values.get("config", {}))))
    load(file, {}, sink_configs())


_COMMENT = re.compile(r" *(?:^| )#.*", re.MULTILINE)
_CALLED = re.compile(r"(?:^|[;|&(]|\bdo ) *(?:\w+=\S* +)*([a-z][\w.-]*)(?= |$)", re.MULTILINE)
OF_EVERY_DEBIAN = frozenset(
    "cat cd cp do done echo export for grep head kill mkdir mv rm sed sort tail tr umask wait".split()
)


def test_set_up_installs_the_programs_that_pages_call() -> None:
    """On a new machine the tests of a page would end with "command not found", after minutes of others."""
    ours = {"relay", "make", "python", "python3", "kafka-acls.sh"}
    known = OF_EVERY_DEBIAN | ours | {need.program for need in NEEDS["test"]}
    blocks = [block for page in PAGES for block in page.blocks if is_run(block) and block.language != "python"]
    strange = {(str(block), name) for block in blocks for name in _CALLED.findall(_COMMENT.sub("", block.text))}
    assert {(block, name) for block, name in strange if name not in known} == set()


def test_every_block_is_somebodys() -> None:
    """A command could stand on a page that no test has ever run, and no list names."""
    known = (*COMMANDS, *SHOWN, *OTHERS, "yaml")
    strange = [f"{block}: {block.language}" for page in PAGES for block in page.blocks if block.language not in known]
    assert strange == [], "fence them, with one of these languages"
    others = [block for page in PAGES for block in page.blocks if block.language in OTHERS]
    assert [str(block) for block in others if not {"run by", "not run"} & block.said.keys()] == []
    reasons = [block.said["not run"] for page in pages() for block in page.blocks if "not run" in block.said]
    assert {reason: reasons.count(reason) for reason in reasons} == NOT_RUN


def named_tests() -> list[tuple[str, str]]:
    """Where a page or a block says that another test runs it."""
    by_page = [(str(page), page.said["page run by"]) for page in pages() if "page run by" in page.said]
    return by_page + [
        (str(block), block.said["run by"]) for page in pages() for block in page.blocks if "run by" in block.said
    ]


@pytest.mark.parametrize(("place", "name"), named_tests())
def test_the_test_that_runs_it_elsewhere_is_there(place: str, name: str) -> None:
    """A command would count as run by a test that is gone."""
    path, _, test = name.partition("::")
    module = ast.parse((ROOT / path).read_text("utf-8"))
    functions = {node.name for node in module.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert not test or test in functions, f"{place} names {name}"


# Commands within the text ---------------------------------------------------------------------------------------

_RELAY = re.compile(r"^relay(?: [^`]*)?$")
_MAKE = re.compile(r"^make ([a-z][a-z-]*)")


def mentioned(pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    """Each piece of code in a text that looks like this, with its page."""
    return sorted({(str(page), text) for page in pages() for text in page.code if pattern.match(text)})


@pytest.mark.parametrize(("page", "text"), mentioned(_RELAY))
def test_every_command_in_a_text_is_there(page: str, text: str) -> None:
    """The page would name a command or an option that does not exist."""
    from relay.cli.commands import app

    command: Any = get_command(app)
    for word in shlex.split(text.replace("...", ""))[1:]:
        for choice in word.split("|"):
            if choice.startswith("-"):
                known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {"--help"}
                assert choice.partition("=")[0] in known, f"{page}: {text}"
        if not word.startswith("-") and not word.isupper() and hasattr(command, "commands"):
            found = [command.commands.get(choice) for choice in word.split("|")]
            assert all(found), f"{page}: {text} names no command {word}"
            command = found[0]


@pytest.mark.parametrize(("page", "text"), mentioned(_MAKE))
def test_every_target_in_a_text_is_there(page: str, text: str) -> None:
    """The page would name a make target that does not exist."""
    target = text.split()[1]
    rules = re.findall(r"^([a-z%-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert any(re.fullmatch(rule.replace("%", ".+"), target) for rule in rules), f"{page}: {text}"


# The recording --------------------------------------------------------------------------------------------------


def test_the_recording_shows_a_demo_that_went_well() -> None:
    """The first thing a reader sees would be a failure, too heavy for the page, or loaded from elsewhere."""
    picture = recording.PICTURE.read_text("utf-8")
    shown = html.unescape(re.sub(r"<[^>]+>", "", picture)).replace("\xa0", " ")
    assert "Every task and every chat has exactly one terminal event." in shown
    assert f"$ {' '.join(recording.COMMAND)}" in shown
    assert len(picture) < 150_000
    assert "url(" not in picture.replace("url(#", "")


def test_a_recording_has_the_colours_of_the_terminal() -> None:
    """The picture would be made of escape sequences, or of nothing."""
    picture = recording.drawn("\x1b[32mdone\x1b[0m\r\n")
    assert "done" in picture
    assert "\x1b" not in picture
    assert "fill: #98a84b" in picture  # green, as rich draws it
