"""``relay version`` and ``relay schema``."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Annotated, Any

import typer

from relay import __version__
from relay.cli import options
from relay.cli.output import write_json, write_json_line, write_line
from relay.core.errors import RelayError

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def version(json: options.Json = False) -> None:
    """Show the version."""
    if json:
        write_json({"relay": __version__, "python": platform.python_version()})
    else:
        write_line((f"relay {__version__} (Python {platform.python_version()})", ""))


def show_version(wanted: bool) -> None:
    """``relay --version``."""
    if wanted:
        version()
        raise typer.Exit()


def schema(
    name: Annotated[str | None, typer.Argument(show_default=False, help="Whose schema; without it: the names.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", show_default=False, help="Write all of them here.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Show the JSON Schema of the data of events."""
    if output is not None:
        if name is not None:
            raise typer.BadParameter("writes all schemas: leave the name out", param_hint="'--output'")
        _write_all(output)
        return
    found = schemas()
    if name is None and not json:
        for known, document in found.items():
            write_line((f"{known:<14}{document['$id']}", ""))
    elif name is None:
        write_json(found)
    elif name in found:
        write_json_line(rendered(found[name]).rstrip(b"\n"))
    else:
        raise RelayError("unknown_schema", f"There is no schema {name!r}.", hint=f"Known: {', '.join(found)}.")


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema (2020-12) of each kind of ``data``, by name; ``$id`` is the events' ``dataschema``."""
    from pydantic import TypeAdapter

    from relay.core.chat import CHAT_SCHEMA, CHUNK_SCHEMA, STARTED_SCHEMA, ChatChunk, ChatData, ChatStarted
    from relay.core.dead import DEAD_SCHEMA, DeadLetterData
    from relay.core.task import TASK_SCHEMA, TaskData

    models: dict[str, tuple[str, Any]] = {
        "task": (TASK_SCHEMA, TaskData),
        "chat-started": (STARTED_SCHEMA, ChatStarted),
        "chat-chunk": (CHUNK_SCHEMA, ChatChunk),
        "chat": (CHAT_SCHEMA, ChatData),
        "dead-letter": (DEAD_SCHEMA, DeadLetterData),
    }
    return {
        name: {"$schema": DIALECT, "$id": urn, **TypeAdapter(model).json_schema(mode="serialization")}
        for name, (urn, model) in models.items()
    }


def rendered(document: dict[str, Any]) -> bytes:
    """A schema as it is committed under ``relay/schemas``."""
    import orjson

    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _write_all(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in schemas().items():
        path = folder / f"{name}.json"
        path.write_bytes(rendered(document))
        write_line((str(path), ""))
