"""A shortcut for the chunks of a stream, which mostly differ in a single text.

One chunk gives a template: the bytes before that text and the bytes after it. A frame that begins and ends
with them, with the inside of a JSON string between, is then known without being parsed, and hundreds of such frames are
read by a few calls into C: a fraction of the time of parsing them.

That this is no guess: a template is kept only if the frame with another text in it parses to the same chunk with that
text. JSON has no context beyond the string's own quotes, so any other inside of a string must do so as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import groupby
from typing import Any, Final, NamedTuple

import orjson

_TEXT_KEY: Final = re.compile(
    rb'"(?:content|reasoning_content|reasoning|text|arguments|thinking|partial_json|delta)"[ ]?:[ ]?"'
)
_INSIDE: Final = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*')
_PROBE: Final = "\x7fprobe\x7f"

Texts = list[str]
"""Where an assembly keeps the pieces of one text."""


class Template(NamedTuple):
    """``prefix`` + the inside of a JSON string + ``suffix`` is a chunk that adds the string to ``texts``."""

    prefix: bytes
    suffix: bytes
    texts: Texts

    def fits(self, frame: bytes) -> bool:
        """Whether the frame begins and ends like such a chunk."""
        return (
            frame.startswith(self.prefix)
            and frame.endswith(self.suffix)
            and len(frame) >= len(self.prefix) + len(self.suffix)
        )


class Run(NamedTuple):
    """Frames that follow each other. ``said``: the text of each; ``None`` if they are to be parsed."""

    frames: list[bytes]
    said: list[str] | None


def learn(frame: bytes, texts: Texts, only_text: Callable[[Any], tuple[Texts, str] | None]) -> Template | None:
    """The template of a frame that does nothing but add a text to ``texts``, as ``only_text`` finds in a chunk."""
    for key in _TEXT_KEY.finditer(frame):
        inside = _INSIDE.match(frame, key.end())
        suffix = frame[inside.end() if inside else key.end() :]
        try:
            found = only_text(orjson.loads(frame[: key.end()] + _PROBE.encode() + suffix))
        except orjson.JSONDecodeError:
            continue
        if found is not None and found[0] is texts and found[1] == _PROBE:
            return Template(frame[: key.end()], suffix, texts)
    return None


def runs(template: Template, frames: list[bytes]) -> list[Run]:
    """All the frames, in order: those that fit and those that do not. No frame may contain a LF.

    What does not fit is mostly at the ends (the role; the finish reason and the usage), so the middle is tried at once.
    """
    start, end = 0, len(frames)
    while start < end and not template.fits(frames[start]):
        start += 1
    while start < end and not template.fits(frames[end - 1]):
        end -= 1
    found = [Run(frames[:start], None)] if start else []
    if start < end:
        found += _middle(template, frames[start:end])
    if end < len(frames):
        found.append(Run(frames[end:], None))
    return found


def _middle(template: Template, frames: list[bytes]) -> list[Run]:
    """Frames of which the first and the last fit: all of them at once, or what fits of them."""
    prefix, suffix, _ = template
    before, after = len(prefix), -len(suffix)
    insides = [frame[before:after] for frame in frames]
    if _would_make(prefix, insides, suffix) == b"\n".join(frames):  # comparing all is cheaper than asking each
        return [Run(frames, strings_of(insides))]
    found = []
    for fitting, group in groupby(frames, template.fits):
        run = list(group)
        found.append(Run(run, strings_of([frame[before:after] for frame in run]) if fitting else None))
    return found


def _would_make(prefix: bytes, insides: list[bytes], suffix: bytes) -> bytes:
    """The frames with these insides, joined by LF."""
    return prefix + (suffix + b"\n" + prefix).join(insides) + suffix


def strings_of(insides: list[bytes]) -> list[str] | None:
    """The strings with these insides; ``None`` if one is not the inside of a JSON string. None may contain a LF."""
    unescaped = b"\n".join(insides).replace(b"\\\\", b"").replace(b'\\"', b"") + b"\n"
    if b'"' in unescaped or b"\\\n" in unescaped:  # one ends too early, or goes on behind its end
        return None
    try:
        said: list[str] = orjson.loads(b'["' + b'","'.join(insides) + b'"]')
    except orjson.JSONDecodeError:  # an unknown escape, a control character, bytes that are no UTF-8
        return None
    return said
