"""``python3 -m tests.setup PURPOSE...``: looks for programs; as root on Debian installs those that are missing.

Ends with 0 once all are there, else with 1 and the one command that installs them. The purposes are those of
``tests/setup/needs.py``.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.setup.needs import (
    CERTIFICATES,
    NEEDS,
    VENV,
    Machine,
    Need,
    Right,
    advice,
    install_command,
    needs_of,
    rights_of,
    update_command,
    version,
)

PROBE_TIMEOUT = 20
UPDATE_TIMEOUT = 300
INSTALL_TIMEOUT = 1800
_AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_LINES = 8
"""Lines of what apt-get wrote that are shown when it fails: the reason is at the end."""


def main(purposes: Sequence[str]) -> int:
    """Looks, installs if it may, looks again. Answers the exit code."""
    machine = Machine(debian=shutil.which("apt-get") is not None, root=os.geteuid() == 0)
    needs = needs_of(purposes)
    missing = _missing(needs, machine)
    if missing and machine.debian and machine.root:
        _install(missing)
        missing = _missing(needs, machine)
    if missing:
        _say(advice(missing, machine))
        return 1
    denied = _denied(rights_of(purposes))
    for right in denied:
        _say(f"This process may not {right.what}, which tests do. {right.advice}.")
    return 1 if denied else 0


def _missing(needs: Sequence[Need], machine: Machine) -> list[Need]:
    with ThreadPoolExecutor() as threads:  # Java takes half a second to say its version
        found = threads.map(lambda need: _is_here(need, machine), needs)
        return [need for need, here in zip(needs, found, strict=True) if not here]


def _is_here(need: Need, machine: Machine) -> bool:
    if need.program == VENV:
        return all(importlib.util.find_spec(module) for module in ("ensurepip", "venv"))
    if need.program == CERTIFICATES:
        return not machine.debian or any(Path(bundle).exists() for bundle in _AUTHORITIES)
    return shutil.which(need.program) is not None and _version(need) >= need.at_least


def _version(need: Need) -> int:
    if not need.at_least:
        return 0
    command = [need.program, "-version"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return version(done.stdout + done.stderr)[0]


def _denied(rights: Sequence[Right]) -> list[Right]:
    with ThreadPoolExecutor() as threads:
        granted = threads.map(lambda right: _succeeds("sh", "-c", right.probe), rights)
        return [right for right, is_granted in zip(rights, granted, strict=True) if not is_granted]


def _succeeds(*command: str) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=PROBE_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _install(missing: list[Need]) -> None:
    """Installs packages, and says why where that fails."""
    _say(f"Installing from Debian: {', '.join(map(str, missing))}")
    updated, why = _apt(update_command(), UPDATE_TIMEOUT)
    installed, said = _apt(install_command(missing, updated=updated), INSTALL_TIMEOUT)
    if not installed:
        # Where the lists of packages are not fetched, apt-get says that there is no such package.
        _say(
            f"{said if updated else why}\n\napt-get asked the mirrors named in /etc/apt/sources.list and "
            "/etc/apt/sources.list.d. Does this machine reach them? If not, name others there.\n"
        )


def _apt(command: list[str], seconds: int) -> tuple[bool, str]:
    """Runs apt-get, which gets a chance to tidy up when its time is over: whether it went well, and its last lines."""
    done = subprocess.run(
        ["timeout", "--kill-after=30", str(seconds), *command],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return done.returncode == 0, "\n".join(f"  {line}" for line in done.stdout.splitlines()[-_LINES:])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python3 -m tests.setup", description="Looks for programs, or installs them.")
    parser.add_argument("purposes", nargs="+", choices=NEEDS, help="what they are for")
    sys.exit(main(parser.parse_args().purposes))
