"""Which store an address means."""

from __future__ import annotations

import sys

import pytest

from relay.archive.errors import StoreError
from relay.archive.folder import Folder
from relay.archive.store import store_at


def test_a_folder_needs_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, a plain archive needs the extra, or loads its library for nothing."""
    monkeypatch.setitem(sys.modules, "obstore", None)
    assert isinstance(store_at("file:///var/lib/outputs", {}), Folder)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, relay ends with a traceback where its extra is not installed."""
    monkeypatch.delitem(sys.modules, "relay.archive.bucket", raising=False)
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(StoreError, match=r"pip install 'relay-bridge\[archive\]'") as caught:
        store_at("s3://outputs", {})
    assert not caught.value.retriable


@pytest.mark.parametrize(
    ("url", "options", "reason"),
    [
        ("s3://outputs", {"acess_key_id": "x"}, "'acess_key_id' is not valid"),
        ("zz://outputs", {}, "Unable to recognise URL"),
        ("s3://", {}, "cannot be used"),
    ],
)
def test_what_cannot_work_is_said_at_the_start(url: str, options: dict[str, str], reason: str) -> None:
    """If this fails, a typing error shows when the first output is lost."""
    with pytest.raises(StoreError, match=reason):
        store_at(url, options)
