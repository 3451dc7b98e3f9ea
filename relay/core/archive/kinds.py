"""What a file is, by its first bytes: what its sender says of it may be wrong, or an error page.

The numbers are those of the WHATWG's MIME Sniffing Standard, and of the formats' own specifications.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

HEAD: Final = 64
"""Bytes that are enough to tell."""
UNKNOWN: Final = "application/octet-stream"

_STARTS: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"BM", "image/bmp"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (8, b"WAVE", "audio/wav"),
    (8, b"AVI ", "video/x-msvideo"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
)
_BRANDS: Final[Mapping[bytes, str]] = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"mif1": "image/heic",
    b"M4A ": "audio/mp4",
    b"qt  ": "video/quicktime",
}
"""Of ISO media files (ISO/IEC 14496-12, 4.3); all other brands are films."""
_MPEG_LAYERS: Final[Mapping[int, str]] = {0x00: "audio/aac", 0x02: "audio/mpeg", 0x04: "audio/mpeg"}
"""Of frames of MPEG audio without a tag; ADTS, as AAC is sent, has layer 0. Layer I would be text in UTF-16."""
_ALSO: Final[Mapping[str, frozenset[str]]] = {
    "video": frozenset({"image/gif", "image/webp", "audio/ogg"}),  # the vendor has videos of type gif
    "audio": frozenset({"video/mp4", "video/webm"}),
}
"""Containers that hold more than their usual kind."""


def content_type_of(head: bytes, kind: str) -> str | None:
    """The content type of an output of this ``kind`` (image, video or audio) that begins with ``head``.

    ``UNKNOWN`` for bytes that nobody knows here: formats are added. ``None``: it is text, as error pages are, or a
    file of another kind.
    """
    known = _known(head)
    if known is None:
        return None if _is_text(head) else UNKNOWN
    if known.startswith(f"{kind}/") or known in _ALSO.get(kind, ()):
        return known.replace("video/", "audio/") if kind == "audio" else known
    return None


def _known(head: bytes) -> str | None:
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    for at, start, name in _STARTS:
        if head.startswith(start, at) and (at == 0 or head.startswith(b"RIFF")):
            return name
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return _MPEG_LAYERS.get(head[1] & 0x06)
    return None


def _is_text(head: bytes) -> bool:
    """Whether no byte is one that only binary files have (MIME Sniffing, 3: binary data byte)."""
    return not any(byte < 0x09 or byte == 0x0B or 0x0E <= byte < 0x1B or 0x1C <= byte < 0x20 for byte in head)
