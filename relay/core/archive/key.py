"""Under which key an output is stored: ``archive.key``, a template that gives each output a key of its own.

A task's id comes from outside. What is put into the template cannot lead out of the store's prefix, nor hide there.
"""

from __future__ import annotations

import re
from string import Formatter
from typing import Final

from relay.core.archive.job import Job

FIELDS: Final = ("date", "task_id", "index", "ext", "kind")
NEEDED: Final = ("task_id", "index")
MAX_TEMPLATE: Final = 512
"""Characters; with an id of 128 the key stays below the 1,024 bytes that S3 takes."""

_LITERAL: Final = re.compile(r"[A-Za-z0-9._=/-]*", re.ASCII)
_SEPARATED: Final = re.compile(r"[._=/-]")
_EXTENSION: Final = re.compile(r"[a-z0-9]{1,8}", re.ASCII)
_NO_EXTENSION: Final = "bin"


def check_template(template: str) -> str:
    """The template. Raises ``ValueError`` that says what is wrong with it."""
    if len(template) > MAX_TEMPLATE:
        raise ValueError(f"must not have more than {MAX_TEMPLATE} characters")
    parts = _parts(template)
    for literal, name in parts:
        if not _LITERAL.fullmatch(literal):
            raise ValueError("takes letters, digits and . _ = - / around its fields")
        if name is not None and name not in FIELDS:
            raise ValueError(f"has no field {{{name[:40]}}}; there are {', '.join(FIELDS)}")
    if any(not _SEPARATED.search(literal) for literal, name in parts[1:] if name is not None):
        raise ValueError("needs one of / . _ = - between its fields, or two outputs could have one key")
    missing = [name for name in NEEDED if name not in {name for _, name in parts}]
    if missing:
        raise ValueError(f"needs {{{missing[0]}}}, or two outputs would have one key")
    if any(set(part) <= {"."} for part in template.split("/")):
        raise ValueError("must be a path below archive.url, without empty parts, . or ..")
    return template


def key_of_output(template: str, job: Job) -> str:
    """The key of an output under a checked template: the same one whenever and wherever it is made."""
    extension = (job.format or "").lower()
    values = {
        "date": job.date,
        "task_id": _safe(job.task_id),
        "index": str(job.index),
        "ext": extension if _EXTENSION.fullmatch(extension) else _NO_EXTENSION,
        "kind": job.kind,
    }
    return template.format_map(values)


def _safe(text: str) -> str:
    """An id as the beginning of a name: ``..`` leads upwards, and what begins with a dot is hidden."""
    return f"%2E{text[1:]}" if text.startswith(".") else text


def _parts(template: str) -> list[tuple[str, str | None]]:
    try:
        parsed = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"is not a template: {error}") from None
    if any(spec or conversion for _, _, spec, conversion in parsed):
        raise ValueError("takes plain fields like {task_id}, without : or !")
    return [(literal, name) for literal, name, _, _ in parsed]
