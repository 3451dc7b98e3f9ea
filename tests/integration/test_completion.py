"""What a real shell offers behind what was typed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from tests.integration.test_cli import BOUND, environment, serving
from tests.services.programs import executable
from tests.services.redis import Redis
from tests.services.relay import RelayProcess

BASH = """
source <(_RELAY_COMPLETE=source_bash relay)
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_relay_completion relay
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = """
_RELAY_COMPLETE=source_fish relay | source
complete -C "$argv"
"""
ZSH = """
# A zsh on a terminal, since zsh completes for people only. It lists what it offers; the word that is waited for is $1.
zmodload zsh/zpty
zpty -b shell zsh -f -i
zpty -w shell 'autoload -Uz compinit; compinit -u -D; bindkey "^X" list-choices; LISTMAX=1000'
zpty -w shell 'source <(_RELAY_COMPLETE=source_zsh relay); echo it is READ""Y'
zpty -r shell said '*it is READY*'
zpty -w -n shell "${@[2,-1]}"$'\\C-x'
zpty -r shell said "*$1*"
"""


def typed_into(*command: str, cwd: Path) -> str:
    """What a shell's own program prints. Raises ``subprocess.TimeoutExpired`` if it waits forever."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [executable(command[0]), *command[1:]],
        cwd=cwd,
        env=environment(PATH=path, HOME=str(cwd), TERM="xterm"),
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


@pytest.fixture
async def relay(tmp_path: Path, redis_server: Redis) -> AsyncIterator[RelayProcess]:
    """One with a sink."""
    async with serving(tmp_path, redis_server) as process:
        yield process


async def test_bash_completes_what_can_be_known(relay: RelayProcess) -> None:
    """Completion would offer nothing, or not what the options take."""

    async def offered(*typed: str) -> list[str]:
        command = ("bash", "--norc", "-c", BASH, "bash", "relay", *typed)
        return (await asyncio.to_thread(typed_into, *command, cwd=relay.directory)).split()

    assert await offered("do") == ["doctor"]
    assert await offered("tasks", "--state", "ab") == ["abandoned"]
    assert await offered("show", "t-") == ["t-2", "t-1"]
    assert await offered("tail", "--topic", "ch") == ["chat", "chat-chunks"]
    assert await offered("replay", "--sink", "") == ["events"]
    assert "--only-topic" in await offered("replay", "--on")
    (letter,) = await offered("dead-letters", "show", "")
    assert letter.startswith("dead-")
    relay.kill()
    assert await offered("dead-letters", "show", "") == []


OFFERED: Mapping[str, str] = {
    "relay do": "doctor",
    "relay tasks --state ab": "abandoned",
    "relay tail --topic ch": "chat-chunks",
}


@pytest.mark.parametrize("typed", OFFERED)
def test_fish_completes(typed: str, tmp_path: Path) -> None:
    """Users of fish would have no completion."""
    lines = typed_into("fish", "--no-config", "-c", FISH, typed, cwd=tmp_path).splitlines()
    assert OFFERED[typed] in [line.partition("\t")[0] for line in lines]


@pytest.mark.parametrize("typed", OFFERED)
def test_zsh_completes(typed: str, tmp_path: Path) -> None:
    """Users of zsh would have no completion."""
    typed_into("zsh", "-f", "-c", ZSH, "zsh", OFFERED[typed], typed, cwd=tmp_path)
