"""Every mistake of the table gets its message, its hint and its exit code, and the page about them says the same."""

from __future__ import annotations

import http.server
import os
import re
import shlex
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from relay.cli.commands import app
from tests.integration.test_cli import API_TOKEN, BOUND, RELAY, environment, serving
from tests.integration.wrong_inputs import SECTIONS, Wrong
from tests.services.ports import free_port
from tests.services.redis import Redis

PAGE = Path(__file__).parents[2] / "docs/troubleshooting.md"
ROWS = [wrong for rows in SECTIONS.values() for wrong in rows]
WITH_RELAY = [wrong for wrong in ROWS if "{relay}" in wrong.command]
ALONE = [wrong for wrong in ROWS if wrong not in WITH_RELAY]


class Page(http.server.BaseHTTPRequestHandler):
    """A web server that is not relay, Kafka or Redis."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")

    do_HEAD = do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class Proxy(Page):
    """An egress proxy that wants a user and a password; it refuses a wrong one with 401, as tinyproxy does."""

    def do_CONNECT(self) -> None:
        self.send_response(407 if "Proxy-Authorization" not in self.headers else 401)
        self.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture(scope="module")
def stage(redis_server: Redis) -> Iterator[dict[str, str]]:
    """What the rows refer to, by its name."""
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    for server in (web, proxy):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as busy:
        yield {
            "web": str(web.server_address[1]),
            "proxy": f"127.0.0.1:{proxy.server_address[1]}",
            "closed": str(free_port()),
            "busy": str(busy.getsockname()[1]),
            "silent": str(busy.getsockname()[1]),
            "redis": redis_server.url.removeprefix("redis://"),
        }
    for server in (web, proxy):
        server.shutdown()
        server.server_close()


def filled(text: str, stage: dict[str, str]) -> str:
    """A text with what the stage offers; other braces are YAML's."""
    for name, value in stage.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def outcome(wrong: Wrong, stage: dict[str, str], where: Path) -> tuple[int, str]:
    """The exit code, and all that was written."""
    if wrong.config:
        (where / "relay.yaml").write_text(filled(wrong.config, stage))
    if wrong.before is not None:
        wrong.before(where)
    arguments = shlex.split(filled(wrong.command, stage))
    if wrong.process:
        program = [RELAY] if wrong.rights else ["unshare", "--user", RELAY]
        done = subprocess.run(
            [*program, *arguments],
            cwd=where,
            env=environment(**wrong.env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BOUND,
            check=False,
        )
        return done.returncode, done.stdout
    unset = {name: None for name in os.environ if name.startswith("RELAY_")}
    result = CliRunner().invoke(app, arguments, env={**unset, **wrong.env, "COLUMNS": "400"})
    return result.exit_code, result.output


def pattern(text: str) -> str:
    """A regular expression for a text of the table."""
    return ".+".join(map(re.escape, text.rstrip("…").split("…")))


def check(wrong: Wrong, stage: dict[str, str], where: Path) -> None:
    code, output = outcome(wrong, stage, where)
    assert "Traceback" not in output
    assert re.search(pattern(wrong.says), output), output
    assert re.search(pattern(wrong.hint), output), output
    assert code == wrong.code, output


@pytest.mark.parametrize("wrong", ALONE, ids=lambda wrong: wrong.name)
def test_a_mistake_is_answered_with_what_to_do(
    wrong: Wrong, stage: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user would read a traceback or a bare error, or a script could not distinguish a slip from a failure."""
    monkeypatch.chdir(tmp_path)
    check(wrong, stage, tmp_path)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[str]:
    """The address of a relay that holds three events."""
    async with serving(tmp_path / "running") as relay:
        yield relay.url


async def test_a_mistake_beside_a_running_relay_is_answered_with_what_to_do(
    running: str, stage: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above; one relay for all, since each start takes its time."""
    for number, wrong in enumerate(WITH_RELAY):
        where = tmp_path / str(number)
        where.mkdir()
        monkeypatch.chdir(where)
        check(wrong, stage | {"relay": running}, where)


def test_there_are_enough_and_each_exit_code_is_met() -> None:
    """A kind of mistake would be forgotten, or an exit code be documented that no test has seen."""
    assert len(ROWS) >= 95
    assert {wrong.code for wrong in ROWS} == {1, 2, 78}
    assert {wrong.code for wrong in ROWS if wrong.process} == {1, 2, 78}
    assert API_TOKEN in WITH_RELAY[0].command, "the table has the token of the relay"


# The page -------------------------------------------------------------------------------------------------------


def page_rows() -> dict[str, dict[str, str]]:
    """Under each heading of the page: what is said, and what to do."""
    sections: dict[str, dict[str, str]] = {}
    for part in PAGE.read_text("utf-8").split("\n## ")[1:]:
        heading, _, text = part.partition("\n")
        rows = re.findall(r"^\| ``? ?(.+?) ?``? \| (.*) \|$", text, re.MULTILINE)
        sections[heading] = {says.replace("\\|", "|"): hint for says, hint in rows}
    return sections


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_page_has_each_message_and_no_other(heading: str) -> None:
    """Somebody who searches the page for a message would not find it, or find advice about one that is gone."""
    assert set(page_rows()[heading]) == {wrong.says for wrong in SECTIONS[heading]}


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_page_gives_the_same_advice(heading: str) -> None:
    """The page would advise something else than the command, or nothing at all."""
    advice = page_rows()[heading]
    for wrong in SECTIONS[heading]:
        assert advice[wrong.says].strip(), wrong.says
        assert wrong.hint in advice[wrong.says], wrong.says


# What is no input of a command ----------------------------------------------------------------------------------


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&- <&-", "> /dev/full"])
def test_a_standard_output_that_takes_nothing_is_no_bug(closed: str, tmp_path: Path) -> None:
    """A command whose output is closed would end in a traceback, or write into a file that it has opened meanwhile."""
    done = subprocess.run(
        ["sh", "-c", f"{shlex.quote(RELAY)} version {closed}"],
        env=environment(),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        timeout=BOUND,
        check=False,
    )
    full = closed == "> /dev/full"
    assert done.returncode == (1 if full else 0)
    assert done.stderr == (
        "relay: No space left on device.\n       Make room there, or write somewhere else.\n" if full else ""
    )
