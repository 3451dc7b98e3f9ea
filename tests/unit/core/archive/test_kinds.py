"""What a file is, by its first bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

import relay.simulator
from relay.core.archive.kinds import HEAD, UNKNOWN, content_type_of

SAMPLES = Path(relay.simulator.__file__).parent / "tasks" / "samples"


@pytest.mark.parametrize(
    ("file", "kind", "expected"),
    [
        ("picture.png", "image", "image/png"),
        ("picture.jpeg", "image", "image/jpeg"),
        ("picture.webp", "image", "image/webp"),
        ("clip.mp4", "video", "video/mp4"),
        ("sound.wav", "audio", "audio/wav"),
        ("sound.mp3", "audio", "audio/mpeg"),
    ],
)
def test_a_real_file_is_recognized(file: str, kind: str, expected: str) -> None:
    """If this fails, outputs are stored under a type that browsers do not show."""
    assert content_type_of((SAMPLES / file).read_bytes()[:HEAD], kind) == expected


def iso(brand: bytes) -> bytes:
    return b"\x00\x00\x00\x20ftyp" + brand + bytes(20)


@pytest.mark.parametrize(
    ("head", "kind", "expected"),
    [
        (b"GIF89a" + bytes(10), "video", "image/gif"),  # the vendor has videos of this type
        (b"RIFF\x00\x00\x00\x00AVI LIST", "video", "video/x-msvideo"),
        (b"\x1aE\xdf\xa3" + bytes(20), "video", "video/webm"),
        (b"\x1aE\xdf\xa3" + bytes(20), "audio", "audio/webm"),
        (iso(b"isom"), "video", "video/mp4"),
        (iso(b"isom"), "audio", "audio/mp4"),
        (iso(b"qt  "), "video", "video/quicktime"),
        (iso(b"avif"), "image", "image/avif"),
        (iso(b"M4A "), "audio", "audio/mp4"),
        (b"fLaC" + bytes(9), "audio", "audio/flac"),
        (b"OggS" + bytes(9), "audio", "audio/ogg"),
        (b"\xff\xfb\x90\x00", "audio", "audio/mpeg"),
        (b"\xff\xf1\x50\x80", "audio", "audio/aac"),
        (bytes(64), "image", UNKNOWN),
        (b"glTF\x02\x00\x00\x00", "image", UNKNOWN),
    ],
)
def test_a_format_is_recognized_by_its_start(head: bytes, kind: str, expected: str) -> None:
    """If this fails, an output has no type, or is taken for something else and lost."""
    assert content_type_of(head, kind) == expected


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "image"),
        (b"<!doctype html><title>Not found", "video"),
        (b'{"error": "expired"}', "audio"),
        ("Keine Datei für Sie".encode(), "image"),
        (b"", "image"),
        ("<html>".encode("utf-16"), "audio"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "video"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "audio"),
        (iso(b"isom"), "image"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "image"),
    ],
)
def test_an_error_page_or_another_kind_is_refused(head: bytes, kind: str) -> None:
    """If this fails, error pages are archived as pictures, and the real ones die with their links."""
    found = content_type_of(head, kind)
    assert found is None or (found == UNKNOWN and b"\x00" in head)


def test_a_start_within_other_bytes_is_no_start() -> None:
    """If this fails, whatever has the right letters somewhere counts as a film."""
    assert content_type_of(b"JUNK\x00\x00\x00\x00WEBP" + bytes(20), "image") == UNKNOWN
