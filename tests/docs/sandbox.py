"""A folder in which the commands of a page are run as a reader would run them, with ports that are free here."""

from __future__ import annotations

import asyncio
import contextlib
import doctest
import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.docs.pages import ROOT, Block
from tests.services.ports import free_port

WITHIN: Final = 60.0
"""Seconds that a command, or what it waits for, may take."""

FOLDER: Final = "folder"
"""Within a test's own, the one in which a page's commands are run."""

TOKEN: Final = "0123456789abcdef0123456789abcdef0123456789abcdef"
"""Stands for every ``<token>`` and every secret."""

_OTHERS: Final = {
    "egress-proxy": f"http://relay:{TOKEN}@proxy.example.com:3128",
    "archive": f"access_key_id={TOKEN}",
}
"""What is in the files of secrets that are more than one word."""

_PORTS: Final = re.compile(r"(?<![\w.])(8080|8081|9090|9091)\b")
_SECRETS: Final = re.compile(r"/(?:run/secrets|etc/relay/secrets)/([a-z0-9.-]+)")
_LOOSE: Final = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Sandbox:
    """``run`` the blocks of a page, one after the other. ``places``: what stands in the page for what is here."""

    def __init__(self, folder: Path, places: Mapping[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._ports = {port: str(free_port()) for port in ("8080", "8081", "9090", "9091")}
        given = places or {}
        self._variables = {name: value for name, value in given.items() if name.startswith(("RELAY_", "SSL_"))}
        found = {name: place for name, place in given.items() if name not in self._variables}
        self._places = {"<token>": TOKEN, **found}  # in the order given: one may be a part of another
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self.log = folder / "background.log"

    async def run(self, block: Block) -> None:
        """Runs a block as its comments say. Raises ``AssertionError`` where it fails, or prints something else."""
        text = self.here(block.text)
        if "file" in block.said:
            self._write(self.folder / block.said["file"], text)
            return
        if "dry run" in block.said:
            await self._finish(block, f'make() {{ command make -n -C {ROOT} "$@"; }}\n{text}')
        elif "background" in block.said:
            await self._begin(block, text)
        elif "until" in block.said:
            await self._watch(block, text)
        else:
            await self._finish(block, text)

    def here(self, text: str) -> str:
        """The text with this sandbox's ports, places, secrets and token."""
        for theirs, ours in self._places.items():
            text = text.replace(theirs, ours)
        text = _PORTS.sub(lambda match: self._ports[match[1]], text)
        return _SECRETS.sub(self._secret, text)

    async def close(self) -> None:
        """Ends what goes on in the background."""
        for process in self._running.values():
            await _end(process)

    def _secret(self, match: re.Match[str]) -> str:
        path = self.folder / "secrets" / match[1]
        if not path.exists():
            self._write(path, f"{_OTHERS.get(match[1], TOKEN)}\n")
        return str(path)

    def _write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    async def _begin(self, block: Block, text: str) -> None:
        """Starts something that goes on, instead of what had its port, and waits until that port answers."""
        port = block.said["background"]
        if port in self._running:
            await _end(self._running[port])
        with self.log.open("ab") as log:
            process = self._running[port] = await self._process(block.language, f"exec env {text}", log.fileno())
        self._places["<pid>"] = str(process.pid)
        async with asyncio.timeout(WITHIN):
            while not await answers(int(self._ports[port])):
                assert process.returncode is None, f"{block} ended: {self.log.read_text()}"
                await asyncio.sleep(0.02)

    async def _finish(self, block: Block, text: str) -> None:
        """Runs a command to its end; again and again until it prints what is shown, where the page says ``retry``."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + WITHIN
        status, printed = await self._output(block, text, deadline)
        while "retry" in block.said and not self._fits(block, printed) and loop.time() < deadline - 1:
            await asyncio.sleep(0.1)
            status, printed = await self._output(block, text, deadline)
        assert status == 0, f"{block} failed with {status}:\n{printed}\n{self._log_text()}"
        self._compare(block, printed)

    async def _output(self, block: Block, text: str, deadline: float) -> tuple[int | str | None, str]:
        """How it ended, and what it printed on both channels."""
        process = await self._process(block.language, text, asyncio.subprocess.PIPE)
        printing = asyncio.ensure_future(process.communicate())
        _, late = await asyncio.wait((printing,), timeout=deadline - asyncio.get_running_loop().time())
        await _end(process)
        printed, _ = await printing
        return "no end" if late else process.returncode, printed.decode()

    async def _watch(self, block: Block, text: str) -> None:
        """Reads what something prints that ends by itself never, until all that the page shows has come."""
        process = await self._process(block.language, text, asyncio.subprocess.PIPE)
        assert process.stdout is not None
        printed = ""
        try:
            async with asyncio.timeout(WITHIN):
                while not self._fits(block, printed):
                    line = await process.stdout.readline()
                    assert line, f"{block} ended after\n{printed}\n{self._log_text()}"
                    printed += line.decode()
        except TimeoutError:
            self._compare(block, printed)
        finally:
            await _end(process)

    def _log_text(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def _fits(self, block: Block, printed: str) -> bool:
        return block.output is None or doctest.OutputChecker().check_output(block.output, self._there(printed), _LOOSE)

    def _compare(self, block: Block, printed: str) -> None:
        assert self._fits(block, printed), (
            f"{block} printed\n{printed}\nand the page shows\n{block.output}\n{self._log_text()}"
        )

    def _there(self, printed: str) -> str:
        """What was printed, with the ports that the page shows."""
        for theirs, ours in self._ports.items():
            printed = printed.replace(ours, theirs)
        return printed

    async def _process(self, language: str, text: str, stdout: int) -> asyncio.subprocess.Process:
        command = (
            [sys.executable, "-c", text] if language == "python" else ["bash", "-euo", "pipefail", "-c", text.strip()]
        )
        return await asyncio.create_subprocess_exec(
            *command, cwd=self.folder, env=self._environment(), stdout=stdout, stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip

    def _environment(self) -> dict[str, str]:
        """A reader's: the relay is on the path, and what is not configured listens where the pages say, but here."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
        return {
            **kept,
            "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}",
            "HOME": str(self.folder),
            "NO_COLOR": "1",
            "COLUMNS": "120",
            "TOKEN": TOKEN,
            "NOVITA_API_KEY": "a-key-of-the-upstream",
            "RELAY_SERVER__PORT": self._ports["8080"],
            "RELAY_ADMIN__PORT": self._ports["9090"],
            "RELAY_IDENTITY": "docs",
            **self._variables,
        }


async def answers(port: int) -> bool:
    """Whether something listens there."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends a process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(10):
            await process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
