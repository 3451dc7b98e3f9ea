"""What the doctor sees of this machine."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from relay.cli.doctor import local
from relay.journal.store import Store
from relay.settings import Settings


def settings(path: Path, **server: object) -> Settings:
    return Settings.model_validate({"journal": {"path": path}, "server": server, "admin": {"port": 0}})


def test_a_folder_that_cannot_be_written_is_reported() -> None:
    """A relay would fail at its first start, which the doctor had called healthy."""
    (found,) = local.check_journal(settings(Path("/proc/relay/relay.db")), running=False)
    assert (found.status, found.code) == ("failed", "journal_not_writable")
    assert "/proc cannot be written" in found.message
    assert local.check_disk(settings(Path("/proc/relay/relay.db"))).code == "disk_unmeasured"


def test_a_first_start_needs_no_journal_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Before the first start the doctor would complain, or make files in the journal's place."""
    configured = settings(tmp_path / "new/folder/relay.db")
    (found,) = local.check_journal(configured, running=False)
    assert found.status == "ok"
    assert "does not exist yet" in found.message
    assert local.check_disk(configured).measured["samples"] > 0
    assert local.check_space(configured).measured["free_bytes"] > 0
    assert list(tmp_path.iterdir()) == []


def test_a_journal_is_looked_through_and_one_that_is_held_is_reported(tmp_path: Path) -> None:
    """A damaged journal would pass, or a forgotten process keep the relay from starting for no reason to be seen."""
    configured = settings(tmp_path / "relay.db")
    store = Store(configured.journal.path)
    (held,) = local.check_journal(configured, running=False)
    assert (held.status, held.code) == ("failed", "journal_in_use")
    (held,) = local.check_journal(configured, running=True)
    assert held.status == "ok"
    store.close()
    (found,) = local.check_journal(configured, running=False)
    assert found.message.endswith("0 events, nothing wrong")
    (tmp_path / "relay.db").write_bytes(b"no database at all" * 100)
    (found,) = local.check_journal(configured, running=False)
    assert (found.status, found.code) == ("failed", "not_a_journal")


def test_a_journal_of_another_user_is_not_opened_as_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of root's beside the journal would keep the relay from opening it."""
    path = tmp_path / "relay.db"
    path.touch()
    owner = path.stat().st_uid
    if owner == 0:
        os.chown(path, 1234, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
    (found,) = local.check_journal(settings(path), running=False)
    assert (found.status, found.code) == ("warning", "another_user")


def test_an_address_that_is_taken_is_reported() -> None:
    """A relay could not start, and the doctor would not say why."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        found = local.check_addresses(settings(Path("x"), port=taken.getsockname()[1]))
    assert (found.status, found.code) == ("failed", "address_unavailable")
    assert "server.port" in found.hint
    assert local.check_addresses(settings(Path("x"), port=0)).status == "ok"


def test_descriptors_are_those_of_this_process() -> None:
    """The limit would be one that nobody has."""
    assert local.check_descriptors(settings(Path("x"), max_connections=1)).measured["needed"] == 1025
