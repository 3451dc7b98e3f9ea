"""What a person sees on a real terminal, and what a program reads from a pipe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.terminal import Seen, on_terminal
from tests.integration.test_cli import run, serving
from tests.services.redis import Redis
from tests.services.relay import RelayProcess


@pytest.fixture
async def relay(tmp_path: Path, redis_server: Redis) -> AsyncIterator[RelayProcess]:
    """One with a sink, which has got all of it."""
    async with serving(tmp_path, redis_server) as process:
        await process.until_drained()
        yield process


async def seen(relay: RelayProcess, *arguments: str, typed: str = "", columns: int = 100, **env: str) -> Seen:
    """A command beside this relay, on a terminal."""
    return await asyncio.to_thread(
        on_terminal, *arguments, "--config", relay.config, typed=typed, columns=columns, **env
    )


async def test_people_get_colour_and_programs_plain_text(relay: RelayProcess) -> None:
    """People would read a grey wall of text, or programs escape sequences."""
    shown = await seen(relay, "tail", "--no-follow")
    assert shown.coloured
    assert "relay.task.succeeded" in shown.text
    for without in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert not (await seen(relay, "tail", "--no-follow", **without)).coloured, without
    piped = await asyncio.to_thread(run, "tail", "--no-follow", "--config", relay.config)
    assert "\x1b" not in piped.stdout + piped.stderr
    assert [line.split() for line in piped.stdout.splitlines()] == [line.split() for line in shown.text.splitlines()]


async def test_people_get_a_table_that_fits_and_programs_columns(relay: RelayProcess) -> None:
    """A table would be torn apart on a narrow terminal, or a program would have to read the rules around it."""
    for columns in (60, 120):
        shown = await seen(relay, "dead-letters", "list", columns=columns)
        lines = shown.text.splitlines()
        assert any("───" in line for line in lines)
        assert max(map(len, lines)) <= columns
    piped = await asyncio.to_thread(run, "dead-letters", "list", "--config", relay.config)
    heads, row = (line.split("\t") for line in piped.stdout.splitlines())
    assert heads[0] == "ID"
    assert len(row) == len(heads)
    as_json = await asyncio.to_thread(run, "dead-letters", "list", "--json", "--config", relay.config)
    assert row[0] in as_json.stdout


async def test_a_replay_asks_people_and_shows_how_far_it_is(relay: RelayProcess) -> None:
    """A slip would publish thousands of events, or nobody would know whether anything moves."""
    command = ("replay", "--from", "1", "--to", "3", "--sink", "events", "--topic", "again")
    refused = await seen(relay, *command, typed="n\n")
    assert refused.code == 1
    assert "at most 3 events" in refused.text
    agreed = await seen(relay, *command, typed="y\n")
    assert agreed.code == 0, agreed.text
    assert "replaying" in agreed.text
    assert "100%" in agreed.text
    assert "3 published" in agreed.text
    piped = await asyncio.to_thread(run, *command, "--again", "--yes", "--config", relay.config)
    assert (piped.stderr, piped.returncode) == ("", 0)
    unasked = await asyncio.to_thread(run, *command, "--again", "--config", relay.config)
    assert unasked.returncode == 2
    assert "--yes" in unasked.stderr


async def test_a_drain_shows_how_far_it_is(relay: RelayProcess) -> None:
    """Nobody would know whether a backlog gets smaller, or which sink has everything."""
    drained = await seen(relay, "drain", "--accept-for", "0")
    assert drained.code == 0, drained.text
    assert "draining" in drained.text
    assert "events  everything is published" in drained.text
    back = await seen(relay, "drain", "--cancel")
    assert (back.code, back.text) == (0, "The drain is taken back: relay takes everything.\n")


async def test_the_doctor_colours_what_has_to_be_fixed(relay: RelayProcess) -> None:
    """What is broken would have to be searched for among what is well."""
    shown = await seen(relay, "doctor", RELAY_UPSTREAM__BASE_URL="http://127.0.0.1:9")
    assert shown.code == 1
    assert "\x1b[31mfailed" in shown.raw
    assert "\x1b[32mok" in shown.raw
    assert shown.text.splitlines()[-1].endswith("1 failed")


@pytest.mark.parametrize("command", [(), ("tail",), ("replay",), ("dead-letters", "show")])
def test_help_is_framed_for_people_and_flows_in_its_width(command: tuple[str, ...]) -> None:
    """Help would have lines broken in their middle, or be unreadable in a pager."""
    shown = on_terminal(*command, "--help", columns=80)
    assert "╭─ Options" in shown.text
    assert max(map(len, shown.text.splitlines())) <= 80
    prose = shown.text.split("╭─")[0].splitlines()
    filled = [line.rstrip() for line in prose if line.strip() and "Usage:" not in line]
    assert all(len(line) > 60 or line.endswith(".") for line in filled), filled
    piped = run(*command, "--help")
    assert "╭" not in piped.stdout


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [(("tial",), "'tail'"), (("journal", "verfy"), "'verify'"), (("tail", "--frm-start"), "--from-start")],
)
def test_a_slip_names_what_was_meant(arguments: tuple[str, ...], meant: str) -> None:
    """A user who mistypes a command would have to read the whole help."""
    shown = on_terminal(*arguments)
    assert shown.code == 2
    assert meant in shown.text
    assert meant in run(*arguments).stderr
