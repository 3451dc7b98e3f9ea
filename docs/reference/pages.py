"""All reference pages, by the names of their files."""

from __future__ import annotations

from pathlib import Path

from docs.reference.errors import errors_page
from docs.reference.events import events_page
from docs.reference.metrics import metrics_page
from docs.reference.settings import settings_page


def pages(root: Path) -> dict[str, str]:
    """Each page's file and its text, made from the checkout at ``root``."""
    sources = {
        path.relative_to(root).as_posix(): path.read_text("utf-8") for path in sorted(root.glob("relay/**/*.py"))
    }
    return {
        "settings.md": settings_page((root / "config" / "relay.example.yaml").read_text("utf-8")),
        "metrics.md": metrics_page(),
        "events.md": events_page(),
        "errors.md": errors_page(sources),
    }
